"""Where curves reach a level, and what they are at given x, in each run or in the mean of runs."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal

from ceflow.runs.collected import CollectedCurve, Reached, ValueAt, filled, grouped
from ceflow.runs.paired import difference_from, mean_and_error
from ceflow.spec import Collect, same_value

Shared = Mapping[str, str]
"""The value of `over` of each run, which runs that are compared share."""


def reached(asked: Collect, curves: Sequence[CollectedCurve], shared: Shared) -> list[Reached]:
    """Find the first x at which each curve reaches the level, or with `over` the mean of these."""
    if asked.level is None:
        return []
    places = [_reached(curve, asked.level) for curve in curves]
    return list(_mean_places(asked, places, shared)) if asked.over else places


def values_at(asked: Collect, curves: Sequence[CollectedCurve], shared: Shared) -> list[ValueAt]:
    """Interpolate each curve at the x of `at`, in the order of x (BN appendix D.4), or with `over`
    take the means of these. A curve has no value outside its own range of x.
    """
    values = [_value_at(curve, x) for x in asked.at or () for curve in curves]
    return list(_mean_values(asked, values, shared)) if asked.over else values


def _reached(curve: CollectedCurve, level: float) -> Reached:
    """Find the first x at which y reaches a level, interpolating linearly between moments. If it
    never does, x is None and `last` is the last x.
    """
    named = curve.subject
    x, above = curve.x, [y - level for y in curve.y]
    if above[0] == 0:
        return Reached(**named, x=x[0])
    for (x0, y0), (x1, y1) in pairwise(zip(x, above, strict=True)):
        if (y1 > 0) != (y0 > 0) or y1 == 0:
            return Reached(**named, x=x0 + (x1 - x0) * y0 / (y0 - y1))
    return Reached(**named, x=None, last=x[-1])


def _value_at(curve: CollectedCurve, x: float) -> ValueAt:
    import numpy as np

    order = np.argsort(curve.x, kind="stable")
    xs, ys = (np.array(curve[key], float)[order] for key in ("x", "y"))
    y = float(np.interp(x, xs, ys)) if xs[0] <= x <= xs[-1] else None
    return ValueAt(**curve.subject, x=x, y=y)


def _mean_places(asked: Collect, places: list[Reached], shared: Shared) -> Iterator[Reached]:
    """Average the places where runs of equal `by` reach the level, and count those that do not."""
    for (_, by, of), several, mean, fields in _means(asked, places, shared, "x"):
        last = max((float(each.last) for each in several if each.last is not None), default=None)
        fields |= filled(of=of or None, by=by or None, last=last if mean is None else None)
        yield Reached(run=f"mean over {asked.over}", x=mean, **fields)


def _mean_values(asked: Collect, values: list[ValueAt], shared: Shared) -> Iterator[ValueAt]:
    """Average the values of runs of equal `by` at each x, and count those that have none."""
    for (x, by, of), _, mean, fields in _means(asked, values, shared, "y"):
        fields |= filled(of=of or None, by=by or None)
        yield ValueAt(run=f"mean over {asked.over}", x=x, y=mean, **fields)


def _means(
    asked: Collect, found: Sequence[Any], shared: Shared, key: Literal["x", "y"]
) -> Iterator[tuple[Any, list[Any], float | None, dict[str, Any]]]:
    """Average what is found of runs of equal x, if y is averaged, `by` and `of`; with these three,
    the standard error, the difference from the runs of `against`, and how many have no number.
    """
    groups = [
        (place, several, _known(several, shared, key))
        for place, several in grouped(
            found, lambda each: (each.x if key == "y" else None, each.by, each.of)
        )
    ]
    others = {(x, of): known for (x, by, of), _, known in groups if same_value(asked.against, by)}
    for (x, by, of), several, known in groups:
        mean, stderr = mean_and_error(list(known.values())) if known else (None, None)
        compared = difference_from(asked.against, by, known, others.get((x, of), {}))
        counts = {"missed": len(several) - len(known), "runs": len(several)}
        yield (x, by, of), several, mean, counts | filled(stderr=stderr, difference=compared)


def _known(several: Sequence[Any], shared: Shared, key: str) -> dict[str, float]:
    """Return the numbers that are known, by the value of `over` of their runs."""
    return {shared[each.run]: float(each[key]) for each in several if each[key] is not None}

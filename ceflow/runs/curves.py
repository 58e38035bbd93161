"""Curves of quantities that stages recorded over time, in one or several runs, for comparison."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from ceflow.history import History
from ceflow.runs.collected import CollectedCurve, CollectedCurves, Reached, filled, grouped, scales
from ceflow.runs.labels import label, which
from ceflow.runs.numbers import listed
from ceflow.spec import Collect, Document, at_path, history_path, tree_of

RESAMPLED_POINTS = 200
"""Number of resampled points over the range of x of all curves."""

Histories = Mapping[str, Mapping[str, History]]
"""Histories by run and stage; stages that are not done are missing."""


def curves(
    asked: Collect, documents: Mapping[str, Document], histories: Histories
) -> CollectedCurves:
    """Gather the curves of a [collect] table, smooth them or find a level, and warn of what is
    missing.
    """
    kept = [
        curve
        for path in asked.quantities
        for curve in sorted(_curves(asked, path, documents, histories), key=_rank)
    ]
    warnings = list(dict.fromkeys(_lacking(asked, kept, histories)))
    kept = [curve for curve in kept if curve.x]
    reached = {}
    if asked.level is not None:
        places = [_reached(curve, asked.level) for curve in kept]
        places = _mean_places(places, asked.over) if asked.over else places
        reached = {"level": asked.level, "reached": places}
    if asked.over:
        kept, narrowed = _averaged(kept, asked.over, asked.by)
        warnings += narrowed
    if asked.smooth and kept:
        kept, unsmoothed = _smoothed(kept, asked.smooth)
        warnings += unsmoothed
    return CollectedCurves(
        x=asked.x,
        y=asked.y,
        view=asked.view,
        curves=kept,
        **reached,
        **filled(by=asked.by, over=asked.over, warnings=warnings),
        **scales(asked),
    )


def mean_and_error(values: Sequence[float]) -> tuple[float, float | None]:
    """Return the mean and its standard error, by the scatter; of one value the error is None.

    >>> mean_and_error([1.0, 3.0]), mean_and_error([2.0])
    ((2.0, 1.0), (2.0, None))
    """
    import numpy as np

    mean = float(np.mean(values))
    if len(values) < 2:
        return mean, None
    return mean, float(np.std(values, ddof=1) / np.sqrt(len(values)))


def _averaged(
    curves: list[CollectedCurve], over: str, key: str | None
) -> tuple[list[CollectedCurve], list[str]]:
    """Average the curves of equal `by`, at the moments of all of them within their common range.

    Curves recorded at other moments are interpolated linearly.
    """
    import numpy as np

    means, warnings = [], []
    for (of, by), several in grouped(curves, lambda each: (each.of, each.by)):
        lines = [sorted(zip(curve.x, curve.y, strict=True)) for curve in several]
        low, high = max(line[0][0] for line in lines), min(line[-1][0] for line in lines)
        grid = sorted({x for line in lines for x, _ in line if low <= x <= high})
        if any(line[0][0] < low or line[-1][0] > high for line in lines):
            curve = (f"{of}: " if of else "") + which(key, by)
            warnings.append(
                f"{curve}the mean over {over} is from {low:.4g} to {high:.4g}, where all"
                f" {len(several)} runs have values"
            )
        if not grid:
            continue
        columns = (zip(*line, strict=True) for line in lines)
        values = np.array([np.interp(grid, x, y) for x, y in columns])
        each = [mean_and_error(list(moment)) for moment in values.T]
        errors = [error for _, error in each if error is not None]
        means.append(
            CollectedCurve(
                run=f"mean over {over}",
                x=grid,
                y=[mean for mean, _ in each],
                runs=len(several),
                **filled(of=of or None, by=by or None, stderr=errors),
            )
        )
    return means, warnings


def missing(stage: str, runs: list[str], count: int) -> str:
    """Say that some of the runs have not done a stage; `count` is the number of all."""
    if runs == [""]:  # of a document without a sweep
        return f"the stage {stage!r} is not done"
    return f"{len(runs)} of {count} runs have not done {stage!r}: {listed(runs)}"


def _curves(
    asked: Collect, path: str, documents: Mapping[str, Document], histories: Histories
) -> Iterator[CollectedCurve]:
    """Yield the curve of a quantity in each run, in the order of the runs, without moments that
    lack one of the numbers.
    """
    (_, x), (stage, y) = history_path(asked.x), history_path(path)
    of = path if len(asked.quantities) > 1 else None
    for run, document in documents.items():
        known = histories[run].get(stage, History({})).points(x, y)
        by = asked.by and label(at_path(tree_of(document, defaults=True), asked.by))
        xs, ys = [at for at, _ in known], [value for _, value in known]
        yield CollectedCurve(run=run, x=xs, y=ys, **filled(of=of, by=by))


def _rank(curve: CollectedCurve) -> tuple[bool, float]:
    """Sort key: increasing values of `by`, inf last; values that are not numbers follow, in the
    order of the runs.
    """
    try:
        return False, float(curve.by)
    except ValueError:
        return True, 0.0


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


def _mean_places(places: list[Reached], over: str) -> list[Reached]:
    """Average the places where runs of equal `by` reach the level, and count those that do not."""
    means = []
    for (of, by), several in grouped(places, lambda each: (each.of, each.by)):
        known = [float(place.x) for place in several if place.x is not None]
        mean, stderr = mean_and_error(known) if known else (None, None)
        last = max((float(each.last) for each in several if each.last is not None), default=None)
        fields = filled(of=of or None, by=by or None, stderr=stderr, last=None if known else last)
        counts = {"missed": len(several) - len(known), "runs": len(several)}
        means.append(Reached(run=f"mean over {over}", x=mean, **counts, **fields))
    return means


def _smoothed(curves: list[CollectedCurve], over: int) -> tuple[list[CollectedCurve], list[str]]:
    """Resample each curve at evenly spaced x over the range of all curves, by linear interpolation
    in the order of x; then take moving averages over this many points (BN appendix D.4). A curve
    has no points outside its own range.
    """
    import numpy as np

    every = [x for curve in curves for x in curve.x]
    grid = np.linspace(min(every), max(every), RESAMPLED_POINTS)
    kept, short = [], []
    for curve in curves:
        order = np.argsort(curve.x, kind="stable")
        x, y = (np.array(curve[key], float)[order] for key in ("x", "y"))
        own = grid[(x[0] <= grid) & (grid <= x[-1])]
        if len(own) < over:
            short.append(" ".join(filter(None, (curve.run, curve.of))))
            continue
        window = np.ones(over) / over
        pair = (np.convolve(each, window, "valid") for each in (own, np.interp(own, x, y)))
        kept.append(
            curve.model_copy(update=dict(zip("xy", map(np.ndarray.tolist, pair), strict=True)))
        )
    count = f"fewer than {over} of {RESAMPLED_POINTS} points"
    said = f"{', '.join(short)}: {count} lie in the curve's range"
    return kept, [said] if short else []


def _lacking(asked: Collect, curves: list[CollectedCurve], histories: Histories) -> Iterator[str]:
    """Name the runs that lack the requested numbers."""
    for path in asked.quantities:
        stage = history_path(path)[0]
        own = [curve for curve in curves if curve.of in ("", path)]
        absent = [curve.run for curve in own if stage not in histories[curve.run]]
        if absent:
            yield missing(stage, absent, len(own))
        without = [c.run for c in own if not c.x and c.run not in absent]
        if without:
            history = histories[without[0]][stage]
            last = history.last if history else {}
            numbers = (key for key, value in last.items() if isinstance(value, int | float))
            which = f"{len(without)} of {len(own)} runs have" if without != [""] else "there is"
            yield (
                f"{which} no history of {path} over {asked.x}; {stage!r} has recorded"
                f" {', '.join(numbers)}"
            )

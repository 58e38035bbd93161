"""The curves of what a sweep's runs recorded from moment to moment, beside each other."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from ceflow.history import History
from ceflow.runs.collected import CollectedCurve, CollectedCurves, Reached, given
from ceflow.runs.numbers import listed
from ceflow.spec import Collect, Document, at_path, history_path, tree_of

RESAMPLED = 200
"""Points of x over the range of all curves."""

Histories = Mapping[str, History]
"""What the stage of each run has recorded; of a run that has not done it, nothing."""


def curves(
    asked: Collect, documents: Mapping[str, Document], histories: Histories
) -> CollectedCurves:
    """Gather the curves of a [collect] table, what is asked of them, and what is wrong."""
    kept = sorted(_curves(asked, documents, histories), key=_rank)
    warnings = list(_lacking(asked, kept, histories))
    kept = [curve for curve in kept if curve.x]
    reached = {}
    if asked.level is not None:
        reached = {"level": asked.level, "reached": [_reached(c, asked.level) for c in kept]}
    if asked.smooth and kept:
        kept, unsmoothed = _smoothed(kept, asked.smooth)
        warnings += unsmoothed
    return CollectedCurves(
        x=asked.x,
        y=asked.y,
        view=asked.view,
        curves=kept,
        **reached,
        **given(by=asked.by, warnings=warnings),
    )


def missing(stage: str, runs: list[str], count: int) -> str:
    """Say that some of so many runs have not done a stage."""
    return f"{len(runs)} of {count} runs have not done {stage!r}: {listed(runs)}"


def label(value: Any) -> str:
    """Write a swept value in few characters; a list of equal ones is that one."""
    if not isinstance(value, list | tuple):
        return str(value)
    one = len(set(map(str, value))) == 1
    return str(value[0]) if one else " ".join(map(str, value))


def _curves(
    asked: Collect, documents: Mapping[str, Document], histories: Histories
) -> Iterator[CollectedCurve]:
    """Read the curve of each run, in the order of the runs; moments without both numbers are left
    out."""
    keys = [history_path(path)[1] for path in (asked.x, asked.y)]
    for run, document in documents.items():
        known = histories[run].points(*keys)
        by = asked.by and label(at_path(tree_of(document, defaults=True), asked.by))
        x, y = [x for x, _ in known], [y for _, y in known]
        yield CollectedCurve(run=run, x=x, y=y, **given(by=by))


def _rank(curve: CollectedCurve) -> tuple[bool, float]:
    """Sort by growing values of `by`, inf last; what is no number comes after, in the runs'
    order."""
    try:
        return False, float(curve.by)
    except ValueError:
        return True, 0.0


def _reached(curve: CollectedCurve, level: float) -> Reached:
    """Find the first x at which y is at a level, coming from where it starts: on the straight line
    between two moments. None where it never is, and then `last`, how far it went."""
    named = {key: curve[key] for key in ("run", "by") if key in curve}
    x, above = curve.x, [y - level for y in curve.y]
    if above[0] == 0:
        return Reached(**named, x=x[0])
    for (x0, y0), (x1, y1) in pairwise(zip(x, above, strict=True)):
        if (y1 > 0) != (y0 > 0) or y1 == 0:
            return Reached(**named, x=x0 + (x1 - x0) * y0 / (y0 - y1))
    return Reached(**named, x=None, last=x[-1])


def _smoothed(curves: list[CollectedCurve], over: int) -> tuple[list[CollectedCurve], list[str]]:
    """Resample each curve at evenly spaced x over the range of all, by linear interpolation between
    its points in the order of x; then take means of so many neighbours (BN appendix D.4). Beyond
    its own range a curve has no points."""
    import numpy as np

    every = [x for curve in curves for x in curve.x]
    grid = np.linspace(min(every), max(every), RESAMPLED)
    kept, short = [], []
    for curve in curves:
        order = np.argsort(curve.x, kind="stable")
        x, y = (np.array(curve[key], float)[order] for key in ("x", "y"))
        own = grid[(x[0] <= grid) & (grid <= x[-1])]
        if len(own) < over:
            short.append(curve.run)
            continue
        window = np.ones(over) / over
        pair = (np.convolve(each, window, "valid") for each in (own, np.interp(own, x, y)))
        kept.append(
            curve.model_copy(update=dict(zip("xy", map(np.ndarray.tolist, pair), strict=True)))
        )
    said = f"{', '.join(short)}: fewer than {over} of {RESAMPLED} points lie in the curve's range"
    return kept, [said] if short else []


def _lacking(asked: Collect, curves: list[CollectedCurve], histories: Histories) -> Iterator[str]:
    """Say which runs are without the numbers that were asked for."""
    stage = history_path(asked.x)[0]
    absent = [curve.run for curve in curves if not histories[curve.run]]
    if absent:
        yield missing(stage, absent, len(curves))
    without = [c.run for c in curves if not c.x and c.run not in absent]
    if without:
        last = histories[without[0]].last
        numbers = (key for key, value in last.items() if isinstance(value, int | float))
        yield (
            f"{len(without)} of {len(curves)} runs have no history of {asked.y} over {asked.x};"
            f" {stage!r} has recorded {', '.join(numbers)}"
        )

"""Curves of quantities that stages recorded over time, in one or several runs, for comparison."""

from collections.abc import Iterator, Mapping

from ceflow.history import History
from ceflow.runs.collected import CollectedCurve, CollectedCurves, filled, grouped, scales
from ceflow.runs.labels import which
from ceflow.runs.levels import reached, values_at
from ceflow.runs.numbers import listed
from ceflow.runs.paired import mean_and_error
from ceflow.spec import Collect, Document, at_path, history_path, tree_of, value_label

CLOCKS = ("time", "step")
"""Quantities by which all runs record, in increasing order."""

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
    shared = {run: over_value(asked, document) for run, document in documents.items()}
    places, values = reached(asked, kept, shared), values_at(asked, kept, shared)
    if asked.over:
        by_clock = history_path(asked.x)[1] in CLOCKS
        kept, narrowed = _averaged(kept, asked.over, asked.by, by_clock=by_clock)
        warnings += narrowed
    if asked.smooth and kept:
        kept, unsmoothed = _smoothed(kept, asked.smooth)
        warnings += unsmoothed
    return CollectedCurves(
        x=asked.x,
        y=asked.y,
        view=asked.view,
        curves=kept,
        **({} if asked.level is None else {"level": asked.level, "reached": places}),
        **filled(by=asked.by, over=asked.over, at=values, warnings=warnings),
        **filled(against=None if asked.against is None else value_label(asked.against)),
        **scales(asked),
    )


def over_value(asked: Collect, document: Document) -> str:
    """Return the value of `over` in a document, which the runs that are compared share."""
    return value_label(at_path(tree_of(document, defaults=True), asked.over)) if asked.over else ""


def _averaged(
    curves: list[CollectedCurve], over: str, key: str | None, *, by_clock: bool
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
        narrowed = any(line[0][0] < low or line[-1][0] > high for line in lines)
        if narrowed and by_clock:  # losses of two runs have never the same range
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
        by = asked.by and value_label(at_path(tree_of(document, defaults=True), asked.by))
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

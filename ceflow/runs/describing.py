"""The report of a [collect] table: a table, and a figure with its fits."""

import math
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

from ceflow.blocks import (
    Cell,
    Curve,
    Drawing,
    Heatmap,
    Note,
    ReportBlock,
    Series,
    Table,
    axis_name,
    number,
)
from ceflow.runs.collected import (
    Collected,
    CollectedCurves,
    CollectedMean,
    CollectedPoint,
    CollectedPoints,
    Correlation,
    Fit,
    OfRun,
    Reached,
    which,
)
from ceflow.spec import history_path

LARGEST_EXPONENT = math.log(sys.float_info.max)
EVEN, FAR = 1.5, 100.0
"""Factors: by which ratios of successive values differ at most, if these are spread evenly in
logarithms, and which values span that are far apart."""


def collected_blocks(name: str, collected: Collected) -> list[ReportBlock]:
    """Show the points, fits and correlations of one [collect] table, or the x at which a level was
    reached; then the figure and the warnings.
    """
    drawn = collected_drawing(name, collected)
    warnings = [Note(text, warning=True) for text in collected.warnings]
    numbers = (
        _levels(collected)
        if isinstance(collected, CollectedCurves)
        else _points_and_fits(collected)
    )
    law = isinstance(collected, CollectedPoints) and (collected.fits or collected.correlations)
    answer = "" if law else collected_answer(collected)  # a law has its own sentence
    said = [Note(answer)] if answer else []
    return [*said, *numbers, *([drawn] if drawn else []), *warnings]


def collected_answer(collected: Collected) -> str:
    """Say in a sentence what a [collect] table shows: its laws and correlations, or where the level
    is reached first, or where y is least and greatest; '' if there are not two numbers to compare.
    """
    if isinstance(collected, CollectedPoints):
        laws = [_fit_text(collected, fit) for fit in collected.fits]
        ranks = [
            f"{which(collected.by, each.by)}rank correlation {each.coefficient:.3f}"
            for each in collected.correlations
            if each.coefficient is not None
        ]
        if laws or ranks:
            return "; ".join([*laws, *ranks])
        points = collected.means or collected.points
        x = _short(collected.x)
        known = [
            (float(each.y), ", ".join(filter(None, (f"{x} = {_x_text(each)}", each.by))))
            for each in points
            if each.y is not None
        ]
        return _extremes(_short(collected.y), known)
    names = _quantities(collected)
    kind = _kind(collected)
    if kind == "quantity":  # which are not compared
        return ""
    if collected.level is not None:
        return _first(collected, names)
    if not _by_clock(collected):  # such curves have no end
        return ""
    _, y, _ = _axes(collected)
    key = f"{kind} " if kind else f"{collected.by} = " if collected.by else ""
    ends = [
        (float(each.y[-1]), f"{key}{_label(each, names)}") for each in collected.curves if each.y
    ]
    return _extremes(f"at the end {y}", ends)


def _x_text(point: CollectedPoint | CollectedMean) -> str:
    """Write the x of a point; of a list, which has no place on an axis, name the run."""
    if point.x is not None:
        return number(point.x)
    return f"that of {point.run}" if isinstance(point, CollectedPoint) else "another value"


def _by_clock(collected: CollectedCurves) -> bool:
    """Tell whether curves are over time or steps, not over another number."""
    return history_path(collected.x)[1] in ("time", "step")


def _first(collected: CollectedCurves, names: Mapping[str, str]) -> str:
    """Say which curve reaches the level first, and how many do not."""
    x, y, _ = (each.rpartition(".")[2] for each in _axes(collected))
    known = [
        (float(each.x), _label(each, names)) for each in collected.reached if each.x is not None
    ]
    level = number(collected.level or 0)
    every = len(collected.reached)
    if not known:
        return f"none of {every} comes to {y} {level}"
    first, label = min(known)
    rest = f"; {every - len(known)} of {every} do not come there" if len(known) < every else ""
    kind = _kind(collected) or collected.by or "run"
    return f"{y} comes to {level} first with {kind} = {label}, at {x} {number(first)}{rest}"


def _extremes(y: str, values: Sequence[tuple[float, str]]) -> str:
    """Say where the least and the greatest of labelled values are."""
    known = [each for each in values if math.isfinite(each[0])]
    if len(known) < 2 or len({value for value, _ in known}) < 2:
        return ""
    (low, at_low), (high, at_high) = min(known), max(known)
    return f"{y} is least at {at_low} ({number(low)}) and greatest at {at_high} ({number(high)})"


def collected_drawing(name: str, collected: Collected) -> Drawing | None:
    """Draw one [collect] table; None if there is nothing to draw."""
    return (
        _curves(name, collected)
        if isinstance(collected, CollectedCurves)
        else _scatter(name, collected)
    )


def _curves(name: str, collected: CollectedCurves) -> Drawing | None:
    """Draw one curve or row per quantity and run, in the order of `by`. Runs differ in colour and
    quantities in their dashes, so that curves which coincide are seen; those of one run in both.
    """
    names, runs = _quantities(collected), list(dict.fromkeys(c.run_label for c in collected.curves))
    quantities = list(names)
    series = tuple(
        Series(
            _label(each, names),
            tuple(each.x),
            tuple(each.y),
            error=tuple(each.stderr),
            colour=runs.index(each.run_label) if len(runs) > 1 else None,
            dash=quantities.index(each.of) if each.of else 0,
        )
        for each in collected.curves
    )
    if not series:
        return None
    x, y, title = _axes(collected)
    legend = ", ".join(filter(None, (_kind(collected), collected.by or "run")))
    legend = legend if runs != [""] else ""
    if collected.view == "heatmap":
        rows = tuple(_in_order(each) for each in series if len(set(each.x)) > 1)
        return Heatmap(name, title, x, y, rows, legend) if rows else None
    clock = _by_clock(collected)  # else a loss over a loss: axes alike
    log = all(value > 0 for each in series for value in (each.y if clock else each.x + each.y))
    log_x = _is_log(collected.x_scale, lambda: log and not clock)
    log_y = _is_log(collected.y_scale, lambda: log)
    return Curve(name, title, x, y, series, log_x=log_x, log_y=log_y, legend=legend)


def _quantities(collected: CollectedCurves) -> dict[str, str]:
    """Name the quantities at y by what differs between them: the stage, the key, or both.

    >>> curves = {"x": "stages.a.time", "view": "curves", "curves": []}
    >>> _quantities(CollectedCurves(y=["stages.a.loss", "stages.b.loss"], **curves))
    {'stages.a.loss': 'a', 'stages.b.loss': 'b'}
    """
    paths = [collected.y] if isinstance(collected.y, str) else collected.y
    parts = [history_path(path) for path in paths]
    stages, keys = ({part[index] for part in parts} for index in (0, 1))
    if len(keys) == 1 and len(stages) > 1:
        return {path: stage for path, (stage, _) in zip(paths, parts, strict=True)}
    if len(stages) == 1 and len(keys) > 1:
        return {path: key for path, (_, key) in zip(paths, parts, strict=True)}
    return {path: _short(path) for path in paths}


def _kind(collected: CollectedCurves) -> str:
    """Say what differs between the quantities at y; '' if there is one."""
    names = _quantities(collected)
    stages = all(name == history_path(path)[0] for path, name in names.items())
    return "" if len(names) < 2 else "stage" if stages else "quantity"


def _label(found: OfRun, names: Mapping[str, str]) -> str:
    """Label a curve by its quantity, if there are several, and its run, if there is a sweep."""
    return ", ".join(filter(None, (names.get(found.of), found.run_label))) or "".join(
        names.values()
    )


def _axes(collected: CollectedCurves) -> tuple[str, str, str]:
    """Return the labels of both axes, and the title."""
    if isinstance(collected.y, str):
        title = f"{_short(collected.y)} by {_short(collected.x)}{_averaged(collected)}"
        return axis_name(collected.x), axis_name(collected.y), title
    stages, keys = zip(*map(history_path, collected.y), strict=True)
    x = history_path(collected.x)[1] if len(set(stages)) > 1 else _short(collected.x)
    names = dict.fromkeys(map(axis_name, keys))
    title = f"{' and '.join(dict.fromkeys(keys))} by {x}{_averaged(collected)}"
    return axis_name(x), " and ".join(names), title


def _averaged(collected: Collected) -> str:
    """Say in a title that bars and bands are those of means."""
    return f", mean over {_short(collected.over)} ± s.e." if collected.over else ""


def _is_log(scale: str, otherwise: Callable[[], bool]) -> bool:
    """Tell whether an axis is logarithmic: as asked, or as is best for its numbers."""
    return otherwise() if scale == "auto" else scale == "log"


def spread_in_logarithms(values: Iterable[float]) -> bool:
    """Tell whether numbers are best placed by their logarithms: they are all above 0, and three or
    more with equal ratios, or span a factor of 100.

    >>> spread_in_logarithms([1e-6, 1e-4, 1e-2]), spread_in_logarithms([1, 2, 3])
    (True, False)
    """
    known = sorted(set(values))
    if len(known) < 2 or known[0] <= 0:
        return False
    ratios = [high / low for low, high in pairwise(known)]
    even = len(ratios) > 1 and max(ratios) < EVEN * min(ratios) and min(ratios) > EVEN
    return even or known[-1] / known[0] >= FAR


def _in_order(series: Series) -> Series:
    """Sort by x, since each cell of a heatmap covers an interval of x."""
    x, y = zip(*sorted(zip(series.x, series.y, strict=True)), strict=True)
    return replace(series, x=x, y=y, error=())


def _levels(collected: CollectedCurves) -> list[ReportBlock]:
    """Tabulate where each curve reached the level."""
    if collected.level is None:
        return []
    x, y = (history_path(path)[1] for path in (collected.x, next(iter(_quantities(collected)))))
    names = _quantities(collected)
    rows = tuple((_label(each, names), _reached_at(each, x)) for each in collected.reached)
    head = collected.by or ("run" if any(each.run for each in collected.reached) else "")
    head = ", ".join(filter(None, (_kind(collected), head)))
    what = y if isinstance(collected.y, str) else "it"
    return [Table((head, f"first {x} at which {what} comes to {number(collected.level)}"), rows)]


def _reached_at(collected: Reached, x: str) -> Cell:
    every = collected.runs
    if collected.x is not None:
        if collected.stderr is None and not collected.missed:
            return collected.x
        error = "" if collected.stderr is None else f" ± {collected.stderr:.2g}"
        rest = f", in {every - collected.missed} of {every} runs" if collected.missed else ""
        return f"{number(collected.x)}{error}{rest}"
    return "not reached" + ("" if collected.last is None else f" by {x} {number(collected.last)}")


def _points_and_fits(collected: CollectedPoints) -> list[ReportBlock]:
    x, y, third = map(_short, (collected.x, collected.y, collected.given))
    by = any("by" in point for point in collected.points)
    named = (x, *((collected.by or "by",) if by else ()), *((third,) if third else ()))
    table = Table(("run", *named, y), tuple((p.run, *_row(p)) for p in collected.points))
    if collected.means:
        head = (*named, f"mean of {y} over {collected.over}", "runs")
        table = Table(head, tuple((*_row(mean), mean.runs) for mean in collected.means))
    fits = (Note(_fit_text(collected, fit)) for fit in collected.fits)
    return [table, *fits, *_correlations(collected)]


def _short(path: str) -> str:
    return path.removeprefix("stages.")


def _row(point: CollectedPoint | CollectedMean) -> tuple[Cell, ...]:
    x, third, y = ("" if each is None else each for each in (point.x, point.given, point.y))
    if point.stderr is not None and y != "":
        y = f"{number(y)} ± {point.stderr:.2g}"
    named = (("by", point.by), ("given", third))
    return (x, *(value for key, value in named if key in point), y)


def _correlations(collected: CollectedPoints) -> list[ReportBlock]:
    """Tabulate the rank correlations, and say why others are undefined."""
    by = any("by" in each for each in collected.correlations)
    third = f", given {_short(collected.given)}" if collected.given else ""
    head = (*((collected.by or "by",) if by else ()), f"rank correlation{third}", "95 %", "p")
    unit = f"means over {collected.over}" if collected.over else "runs"
    rows = tuple(
        (*((each.by,) if by else ()), *_correlation_cells(each), each.runs)
        for each in collected.correlations
        if each.coefficient is not None
    )
    undefined = (
        Note(f"{which(collected.by, each.by)}no rank correlation: {each.undefined}")
        for each in collected.correlations
        if each.coefficient is None
    )
    return [*([Table((*head, unit), rows)] if rows else []), *undefined]


def _correlation_cells(found: Correlation) -> tuple[Cell, ...]:
    interval = "unknown"
    if found.interval is not None:
        interval = "{:.3f} to {:.3f}".format(*found.interval)
    return f"{found.coefficient:.3f}", interval, f"{found.p_value:.2g}"


def _fit_text(collected: CollectedPoints, fit: Fit) -> str:
    y = collected.y.rpartition(".")[2]
    law = f"{which(collected.by, fit.by)}{y} = {fit.factor:.3g} x^{fit.slope:.3f}"
    if fit.interval is None:
        return law
    low, high = fit.interval
    return f"{law}, slope {fit.slope:.3f} (95 %: {low:.3f} to {high:.3f})"


def _scatter(name: str, collected: CollectedPoints) -> Curve | None:
    """Draw the points of each curve, and its fit as a line; the axes are logarithmic if there is a
    fit.
    """
    points = collected.means or collected.points
    series = tuple(
        replace(each, colour=colour)  # the points of a curve and its fit have one
        for colour, by in enumerate(dict.fromkeys(point.by for point in points))
        for each in _series(collected, by)
    )
    if not series:
        return None
    fitted = "fits" in collected
    log_x, log_y = (
        _is_log(scale, lambda axis=axis: fitted or spread_in_logarithms(_values(series, axis)))
        for axis, scale in (("x", collected.x_scale), ("y", collected.y_scale))
    )
    title = f"{_short(collected.y)} by {_short(collected.x)}{_averaged(collected)}"
    x, y = axis_name(collected.x), axis_name(collected.y)
    return Curve(name, title, x, y, series, log_x, log_y, collected.by)


def _values(series: Iterable[Series], axis: str) -> list[float]:
    return [value for each in series for value in getattr(each, axis)]


def _power_law(fit: Fit, x: float) -> float:
    """Compute factor x^slope by logarithms, as x^slope alone may overflow."""
    exponent = math.log(fit.factor) + fit.slope * math.log(x)
    return math.exp(exponent) if exponent < LARGEST_EXPONENT else math.inf


def _series(collected: CollectedPoints, by: str) -> list[Series]:
    points = [p for p in collected.means or collected.points if p.by == by and p.y is not None]
    known = sorted((p.x, p.y, p.stderr or 0.0) for p in points if p.x not in (None, "inf"))
    label = which(collected.by, by)
    limits = [
        Series(f"{label}{_short(collected.x)} = inf", *_across(collected, point), dash=1)
        for point in points
        if point.x == "inf"
    ]
    if not known:
        return limits
    x, y, errors = zip(*known, strict=True)
    error = errors if any(errors) else ()
    ends = (min(x), max(x))
    lines = [
        Series(
            f"{by + ': ' if by else ''}slope {fit.slope:.2f}",
            ends,
            tuple(_power_law(fit, end) for end in ends),
        )
        for fit in collected.fits
        if fit.by == by
    ]
    # a fit is a line already, and runs are sorted by a number that the document sets only
    alone = not lines and not collected.correlations and len(set(x)) == len(x) > 1
    measured = Series(by or "measured", x, y, "joined" if alone else "points", error)
    return [measured, *lines, *limits]


def _across(
    collected: CollectedPoints, point: CollectedPoint | CollectedMean
) -> tuple[tuple[float, ...], tuple[float, ...], Literal["line"], tuple[float, ...]]:
    """Return a level line across the axis, with its error, for a point at an infinite x."""
    every = [p.x for p in collected.means or collected.points if p.x not in (None, "inf")]
    ends = (float(min(every)), float(max(every))) if every else (0.0, 1.0)
    y, error = float(point.y or 0), point.stderr
    return ends, (y, y), "line", () if error is None else (float(error),) * 2

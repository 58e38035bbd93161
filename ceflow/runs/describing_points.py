"""The report of a [collect] table of points: their table, fits and correlations, and the figure."""

import math
import sys
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

from ceflow.blocks import Cell, Curve, Note, ReportBlock, Series, Table, axis_name, number
from ceflow.runs.collected import CollectedMean, CollectedPoint, CollectedPoints, Correlation, Fit
from ceflow.runs.describing_differences import difference_cells, differences_answer
from ceflow.runs.labels import averaged, extremes, is_log, short, which, with_error

LARGEST_EXPONENT = math.log(sys.float_info.max)
EVEN, FAR = 1.5, 100.0
"""Factors: by which ratios of successive values differ at most, if these are spread evenly in
logarithms, and which values span that are far apart."""


def points_answer(collected: CollectedPoints) -> str:
    """State the laws and correlations; without any, say where y is least and greatest."""
    laws = [_fit_text(collected, fit) for fit in collected.fits]
    ranks = [
        f"{which(collected.by, each.by)}{correlation_name(collected)} {_with_certainty(each)}"
        for each in collected.correlations
        if each.coefficient is not None
    ]
    if laws or ranks:
        return "; ".join([*laws, *ranks])
    x = short(collected.x)
    known = [
        (float(each.y), ", ".join(filter(None, (f"{x} = {_x_text(each)}", each.by))), each.stderr)
        for each in collected.shown
        if each.y is not None
    ]
    compared = differences_answer(
        [each.difference for each in collected.means], _reference(collected)
    )
    return "; ".join(filter(None, (extremes(short(collected.y), known), compared)))


def _reference(collected: CollectedPoints) -> str:
    return f"{collected.by or short(collected.x)} = {collected.against}"


def _with_certainty(found: Correlation) -> str:
    """Write a coefficient with its interval, if it is known, and its p value."""
    interval = "" if found.interval is None else "95 %: {:.3f} to {:.3f}, ".format(*found.interval)
    return f"{found.coefficient:.3f} ({interval}p = {found.p_value:.2g})"


def _x_text(point: CollectedPoint | CollectedMean) -> str:
    """Write the x of a point; of a list, which has no place on an axis, name the run."""
    if point.x is not None:
        return number(point.x)
    return f"that of {point.run}" if isinstance(point, CollectedPoint) else "another value"


def points_blocks(collected: CollectedPoints) -> list[ReportBlock]:
    """Tabulate the points or the means, with the fits, the correlations, or else the answer."""
    x, y, third = map(short, (collected.x, collected.y, collected.given))
    by = any("by" in point for point in collected.points)
    named = (x, *((collected.by or "by",) if by else ()), *((third,) if third else ()))
    y += " ± s.e." if any(point.stderr is not None for point in collected.points) else ""
    table = Table(("run", *named, y), tuple((p.run, *_row(p)) for p in collected.points))
    if collected.means:
        compared = (f"less {_reference(collected)}", "95 %", "pairs") if collected.against else ()
        mean = f"mean of {short(collected.y)} over {collected.over} ± s.e."
        head = (*named, mean, "runs", *compared)
        table = Table(head, tuple(_mean_row(collected, mean) for mean in collected.means))
    if collected.fits or collected.correlations:  # which have sentences and tables of their own
        fits = (Note(_fit_text(collected, fit)) for fit in collected.fits)
        return [table, *fits, *correlation_blocks(collected)]
    answer = points_answer(collected)
    return [*([Note(answer)] if answer else []), table]


def _mean_row(collected: CollectedPoints, mean: CollectedMean) -> tuple[Cell, ...]:
    runs: Cell = f"{mean.runs} of {mean.runs + mean.missed}" if mean.missed else mean.runs
    return (*_row(mean), runs, *(difference_cells(mean.difference) if collected.against else ()))


def _row(point: CollectedPoint | CollectedMean) -> tuple[Cell, ...]:
    x, third, y = ("" if each is None else each for each in (point.x, point.given, point.y))
    if point.stderr is not None and y != "":
        y = with_error(y, point.stderr)
    named = (("by", point.by), ("given", third))
    return (x, *(value for key, value in named if key in point), y)


def correlation_name(collected: CollectedPoints) -> str:
    """Name the correlation that was asked for."""
    ranks = collected.correlate == "spearman"
    return "rank correlation" if ranks else "correlation of logarithms"


def correlation_blocks(collected: CollectedPoints, unit: str = "runs") -> list[ReportBlock]:
    """Tabulate the correlations, and say why others are undefined; `unit` is what is counted."""
    by = any("by" in each for each in collected.correlations)
    third = f", given {short(collected.given)}" if collected.given else ""
    name = correlation_name(collected)
    head = (*((collected.by or "by",) if by else ()), f"{name}{third}", "95 %", "p")
    unit = f"means over {collected.over}" if collected.over else unit
    rows = tuple(
        (*((each.by,) if by else ()), *_correlation_cells(each), each.runs)
        for each in collected.correlations
        if each.coefficient is not None
    )
    undefined = (
        Note(f"{which(collected.by, each.by)}no {name}: {each.undefined}")
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


def points_drawing(name: str, collected: CollectedPoints) -> Curve | None:
    """Draw the points of each curve, and its fit as a line; the axes are logarithmic if there is a
    fit.
    """
    series = tuple(
        replace(each, colour=colour)  # the points of a curve and its fit have one
        for colour, by in enumerate(dict.fromkeys(point.by for point in collected.shown))
        for each in _series(collected, by)
    )
    if not series:
        return None
    fitted = "fits" in collected
    log_x = is_log(collected.x_scale, fitted or spread_in_logarithms(_values(series, "x")))
    log_y = is_log(collected.y_scale, fitted or spread_in_logarithms(_values(series, "y")))
    last = f", mean of the last {collected.last}" if collected.last else ""
    title = f"{short(collected.y)} by {short(collected.x)}{last}{averaged(collected.over)}"
    x, y = axis_name(collected.x), axis_name(collected.y)
    return Curve(name, title, x, y, series, log_x, log_y, collected.by)


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


def _values(series: Iterable[Series], axis: str) -> list[float]:
    return [value for each in series for value in getattr(each, axis)]


def _power_law(fit: Fit, x: float) -> float:
    """Compute factor x^slope by logarithms, as x^slope alone may overflow."""
    exponent = math.log(fit.factor) + fit.slope * math.log(x)
    return math.exp(exponent) if exponent < LARGEST_EXPONENT else math.inf


def _series(collected: CollectedPoints, by: str) -> list[Series]:
    """Draw one curve: its points, its fit, and lines at the values of points at an infinite x."""
    points = [p for p in collected.shown if p.by == by and p.y is not None]
    known = sorted((p.x, p.y, p.stderr or 0.0) for p in points if p.x not in (None, "inf"))
    limits = [_limit(collected, point) for point in points if point.x == "inf"]
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


def _limit(collected: CollectedPoints, point: CollectedPoint | CollectedMean) -> Series:
    """Draw a point at an infinite x, which has no place on the axis, as a level line across it."""
    every = [p.x for p in collected.shown if p.x not in (None, "inf")]
    ends = (float(min(every)), float(max(every))) if every else (0.0, 1.0)
    y, error = float(point.y or 0), point.stderr
    label = f"{which(collected.by, point.by)}{short(collected.x)} = inf"
    both = () if error is None else (float(error),) * 2
    return Series(label, ends, (y, y), error=both, dash=1)

"""The points that show of drawings with too many."""

from collections.abc import Sequence
from dataclasses import replace

from ceflow.blocks.content import Series

FEWEST_POINTS = 20
"""Smallest number of points kept of a curve."""

MOST_SERIES = 200
"""Largest number of curves of a chart."""


def thinned_curves(series: Sequence[Series], points: int) -> tuple[tuple[Series, ...], str]:
    """Keep the first curves, and of long ones the points that show; say what is left out."""
    every = sum(len(each.x) for each in series)
    kept = tuple(series[:MOST_SERIES])
    if every > points:
        most = max(points // len(kept), FEWEST_POINTS)
        kept = tuple(extremes(each, most) for each in kept)
    said = left_out(series, kept, "points")
    if len(kept) < len(series):
        said += f", of {len(kept)} of {len(series)} curves"
    return kept, said


def extremes(series: Series, most: int) -> Series:
    """Keep the lowest and the highest point of each of equal parts, and both ends."""
    count = len(series.x)
    if count <= most:
        return series
    parts = max(most // 2 - 1, 1)
    kept = {0, count - 1}
    for part in range(parts):
        places = range(part * count // parts, (part + 1) * count // parts)
        kept |= {min(places, key=series.y.__getitem__), max(places, key=series.y.__getitem__)}
    at = sorted(kept)
    x, y, error = (tuple(c[i] for i in at) if c else () for c in (series.x, series.y, series.error))
    return replace(series, x=x, y=y, error=error)


def left_out(every: Sequence[Series], kept: Sequence[Series], what: str) -> str:
    """Say how many points are drawn; nothing if all are."""
    count, whole = (sum(len(each.x) for each in series) for series in (kept, every))
    return f"{count:,} of {whole:,} {what} are drawn" if count < whole else ""

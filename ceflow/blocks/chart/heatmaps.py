"""Heatmaps as SVG: a row of cells per series, and a bar of their colours."""

import math
from collections.abc import Sequence
from itertools import groupby, pairwise

from ceflow.blocks.axes import Axis, axis_over
from ceflow.blocks.chart.frame import (
    LONGEST_LABEL,
    RIGHT,
    WIDTH,
    Frame,
    Parts,
    label,
    left_margin,
    picture,
    pixels,
    rounded,
    upright,
)
from ceflow.blocks.chart.thinning import extremes, left_out
from ceflow.blocks.content import Heatmap, Series
from ceflow.blocks.palette import VIRIDIS, hexadecimal, mixed

LINE = 14
"""Pixels between labels of rows, which must not overlap."""

BAR = 90
"""Pixels right of the cells, for the bar of colours and its labels."""

NARROWEST_CELL = 0.3
"""Least width of a cell in pixels, so that it is seen."""


def heatmap_parts(heatmap: Heatmap, most: int) -> Parts:
    """Draw a heatmap of at most `most` cells; each extends half-way to the next x."""
    if not heatmap.series:
        return Parts(picture(heatmap, ""), "", {"kind": "none"}, "")
    rows = [extremes(series, max(most // len(heatmap.series), 2)) for series in heatmap.series]
    thinned = left_out(heatmap.series, rows, "cells")
    x = axis_over([x for series in rows for x in series.x], log=False, tight=True)
    y = _row_axis([series.label for series in rows])
    frame = Frame(x, y, left_margin(y), WIDTH - RIGHT - BAR)
    values = [y for series in heatmap.series for y in series.y]
    colours = axis_over(values, log=heatmap.log, tight=True)
    cells = "".join(_row(frame, row, series, colours) for row, series in enumerate(rows))
    inner = (
        f'<g shape-rendering="crispEdges">{cells}</g>'
        f'<g class="axes">{frame.labels(heatmap.x_label, heatmap.legend)}</g>'
        + _bar(Frame(x, colours, frame.right + 16), heatmap.y_label)
    )
    data = {
        "kind": "heatmap",
        "labels": [heatmap.x_label, heatmap.legend, heatmap.y_label],
        "area": [round(frame.left, 1), frame.top, round(frame.right, 1), frame.bottom],
        "rows": [
            {"label": series.label, "x": rounded(series.x), "y": rounded(series.y)}
            for series in rows
        ],
        "x": [x.low, x.high],
        "thinned": bool(thinned),
    }
    return Parts(picture(heatmap, inner), "", data, thinned)


def _row_axis(labels: Sequence[str]) -> Axis:
    """Return an axis on which row i is from i to i + 1, the first on top; it labels the rows whose
    labels do not overlap.
    """
    count = len(labels)
    height = Frame.bottom - Frame.top
    every = max(math.ceil(LINE * count / height), 1)
    ticks = tuple((row + 0.5, labels[row][:LONGEST_LABEL]) for row in range(0, count, every))
    return Axis(log=False, low=count, high=0, ticks=ticks)


def _row(frame: Frame, row: int, series: Series, colours: Axis) -> str:
    """Draw a row; cells of one colour beside each other are one shape. The next begins at the very
    number at which one ends, since a tenth of a pixel between them is drawn as a white line.
    """
    top, bottom = (f"{frame.down(edge):.1f}" for edge in (row, row + 1))
    edges = [series.x[0], *((a + b) / 2 for a, b in pairwise(series.x)), series.x[-1]]
    places = [frame.across(edge) for edge in edges]
    fills = [_colour(colours, y) for y in series.y]
    drawn, end = "", 0
    for fill, alike in groupby(fills):
        begin, end = end, end + len(list(alike))
        left, right = places[begin], max(places[end], places[begin] + NARROWEST_CELL)
        shape = f"M{left:.1f} {top}H{right:.1f}V{bottom}H{left:.1f}z"
        drawn += f'<path fill="{fill}" d="{shape}"/>'
    return drawn


def _colour(axis: Axis, value: float) -> str:
    return hexadecimal(mixed(VIRIDIS, min(max(axis.share(value), 0.0), 1.0)))


def _bar(frame: Frame, y_label: str) -> str:
    """Draw the bar that says which colour stands for which number."""
    count = 64
    step = (frame.bottom - frame.top) / count
    left = pixels(frame.left)
    shades = "".join(
        f'<path fill="{hexadecimal(mixed(VIRIDIS, index / (count - 1)))}"'
        f' d="M{left} {frame.bottom - (index + 1) * step:.1f}h12v{step + 0.5:.1f}h-12z"/>'
        for index in reversed(range(count))
    )
    ticks = (label(at, frame.left + 18, frame.down(y) + 4, "start") for y, at in frame.y.ticks)
    name = upright(y_label, WIDTH - 4, (frame.top + frame.bottom) / 2)
    return f'{shades}<g class="axes">{"".join(ticks)}{name}</g>'

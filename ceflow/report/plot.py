"""Curves drawn with characters: each braille character is a grid of 2 x 4 dots."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import cycle, pairwise
from string import ascii_letters

from ceflow.blocks import Curve, Series
from ceflow.blocks.placing import error_ends
from ceflow.report.text import ends, share, spaced

DOT_BITS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bit of each dot, by row and column."""

POINT = "●"
POINT_SIGNS = (POINT, "○", "◆", "◇", "■", "□", "▲", "△")
"""Marks for the points of each series."""

BAND_STEP, NARROWEST_BAND = 4, 2
"""Columns of dots between those of a band's edge, and least distance from the line."""

LINE_SIGN = "⠤⠤"
"""Sign of a single line in the legend."""

LETTERS_PER_LINE = 3
"""Number of letters drawn on each of several lines."""


def draw(curve: Curve, width: int = 64, height: int = 12) -> list[str]:
    """Draw a plot as lines of text: title, canvas with the ends of its axes, label of x, and a
    legend.

    The legend is drawn if there are several series; lines then carry letters. Dots at both sides
    of a line, where there is room, are the ends of its standard errors.

    >>> from ceflow.blocks import Curve, Series
    >>> line = Series("y", (0.0, 1.0), (0.0, 1.0))
    >>> for text in draw(Curve("c", "a line", "x", "y", (line,)), 8, 2): print(text.rstrip())
    a line: y
       1 ┤    ⣀⠤⠒⠉
       0 ┤⣀⠤⠒⠉
         └────────
          0      1
          x
    """
    x_axis = _Axis([x for series in curve.series for x in series.x], curve.log_x, 2 * width)
    reach = [y for each in curve.series for ends in error_ends(each, log=curve.log_y) for y in ends]
    y_axis = _Axis(reach, curve.log_y, 4 * height)
    signs = _signs(curve.series)
    canvas = [[0] * width for _ in range(height)]
    letters, points = {}, {}
    for index, (series, sign) in enumerate(zip(curve.series, signs, strict=True)):
        dots = _dots(series, x_axis, y_axis)
        if series.error:
            _set(canvas, _errors(series, x_axis, y_axis))
        if series.style != "line":
            points |= {_cell(dot, height): sign for dot in dots}
        if series.style == "points":
            continue
        joined = _joined(dots)
        _set(canvas, joined)
        if series.style == "line" and sign != LINE_SIGN:
            spots = _spread(joined, index / len(curve.series))
            letters |= {_cell(dot, height): sign for dot in spots}
    marks = letters | points
    rows = [
        "".join(
            marks.get((i, j)) or (chr(0x2800 + bits) if bits else " ")
            for j, bits in enumerate(line)
        )
        for i, line in enumerate(canvas)
    ]
    return _framed(curve, rows, x_axis, y_axis, _legend(curve, signs, width))


def _signs(every: Sequence[Series]) -> list[str]:
    """Return a sign for each series: a letter for lines, a mark for points."""
    lines = sum(series.style == "line" for series in every)
    letters, points = cycle(ascii_letters if lines > 1 else (LINE_SIGN,)), cycle(POINT_SIGNS)
    return [next(letters if series.style == "line" else points) for series in every]


def _cell(dot: tuple[int, int], height: int) -> tuple[int, int]:
    """Return row and column of the character that holds a dot."""
    return height - 1 - dot[1] // 4, dot[0] // 2


def _spread(dots: list[tuple[int, int]], shift: float) -> Iterator[tuple[int, int]]:
    """Yield a few dots of a line, evenly spaced, shifted by a fraction of their distance."""
    return (
        dots[int((k + shift) / LETTERS_PER_LINE * len(dots))]
        for k in range(LETTERS_PER_LINE)
        if dots
    )


def _legend(curve: Curve, signs: list[str], width: int) -> list[str]:
    """Write the sign and the label of each series, in as many lines as needed."""
    if len(signs) < 2:
        return []
    every = [f"{sign} {each.label}" for sign, each in zip(signs, curve.series, strict=True)]
    lines = [f"{curve.legend}: {every[0]}" if curve.legend else every[0]]
    for entry in every[1:]:
        if len(lines[-1]) + len(entry) + 3 > width:
            lines.append(entry)
        else:
            lines[-1] += f"   {entry}"
    return lines


class _Axis:
    """A map from values to dots, linear or logarithmic."""

    def __init__(self, values: Sequence[float], log: bool, dots: int):
        usable = [value for value in values if math.isfinite(value) and (value > 0 or not log)]
        self.log, self.dots = log, dots
        self.low, self.high = min(usable, default=1.0), max(usable, default=1.0)

    def dot(self, value: float) -> int | None:
        """Return the dot of a value; None if it is not on the axis."""
        if not math.isfinite(value) or (self.log and value <= 0):
            return None
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return round(share(at, low, high) * (self.dots - 1))


def _dots(series: Series, x_axis: _Axis, y_axis: _Axis) -> list[tuple[int, int]]:
    pairs = ((x_axis.dot(x), y_axis.dot(y)) for x, y in zip(series.x, series.y, strict=True))
    return [(x, y) for x, y in pairs if x is not None and y is not None]


def _set(canvas: list[list[int]], dots: Iterable[tuple[int, int]]) -> None:
    """Set dots of a canvas, which are counted from its lower left."""
    for x, y in dots:
        row, below = divmod(4 * len(canvas) - 1 - y, 4)
        canvas[row][x // 2] |= DOT_BITS[below][x % 2]


def _errors(series: Series, x_axis: _Axis, y_axis: _Axis) -> list[tuple[int, int]]:
    """Return the dots of a bar at each point, or those along both edges of the band of a line where
    it is wide enough to be seen: of every fourth column, so that they are not taken for lines.
    """
    edges = [
        _dots(replace(series, y=y), x_axis, y_axis)
        for y in zip(*error_ends(series, log=y_axis.log), strict=True)
    ]
    if series.style != "line":
        return [dot for pair in zip(*edges, strict=True) for dot in _joined(list(pair))]
    middle = dict(_joined(_dots(series, x_axis, y_axis)))
    return [
        (x, y)
        for edge in edges
        for x, y in _joined(edge)
        if not x % BAND_STEP and abs(y - middle.get(x, y)) >= NARROWEST_BAND
    ]


def _joined(dots: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join successive dots by straight lines, and return all dots on them."""
    joined = dots[:1]
    for (x0, y0), (x1, y1) in pairwise(dots):
        steps = max(abs(x1 - x0), abs(y1 - y0), 1)
        joined += [
            (round(x0 + (x1 - x0) * k / steps), round(y0 + (y1 - y0) * k / steps))
            for k in range(1, steps + 1)
        ]
    return joined


def _framed(
    curve: Curve, rows: list[str], x_axis: _Axis, y_axis: _Axis, legend: list[str]
) -> list[str]:
    bottom, top = ends(y_axis.low, y_axis.high)
    margin, width = max(len(top), len(bottom), 4), len(rows[0])
    labels = [top, *[""] * (len(rows) - 2), bottom] if len(rows) > 1 else [top]
    x_ends = spaced(*ends(x_axis.low, x_axis.high), width)
    pad = " " * margin
    title, x_label = curve.title, _named(curve.x_label, x_axis)
    if not title.startswith(curve.y_label):
        title = f"{title}: {curve.y_label}"
    return [
        _named(title, y_axis),
        *(f"{label:>{margin}} ┤{row}" for label, row in zip(labels, rows, strict=True)),
        f"{pad} └{'─' * width}",
        *(f"{pad}  {line}" for line in (x_ends, x_label, *legend)),
    ]


def _named(label: str, axis: _Axis) -> str:
    """Name an axis, and its scale if that is logarithmic."""
    return f"{label}, logarithmic" if axis.log else label

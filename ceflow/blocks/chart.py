"""Curves and heatmaps as SVG inside an HTML page: whole without a script, with the data for one.

Of plotting libraries plotly puts 3.6 MB into a page, altair 0.9 MB; Matplotlib's SVG has letters as
paths and no data. A chart here takes some 10 kB, and the script of the page (`report/page.js`)
draws it again from its data for another width or scale.
"""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from html import escape
from itertools import pairwise
from typing import Any

from ceflow.blocks.axes import Axis, axis_over
from ceflow.blocks.content import Curve, Drawing, Heatmap, Series, number
from ceflow.blocks.placing import drawable, shown

WIDTH, HEIGHT = 680, 380
RIGHT, TOP, BOTTOM = 16, 12, 46
"""Margins in pixels; the left one depends on the labels."""

CHARACTER = 7.0
"""Width in pixels of a character of a label."""

MOST_POINTS = 4000
"""Largest number of points of a chart; of longer curves, those that show are kept."""

FEWEST_POINTS = 20
"""Smallest number of points kept of a curve."""

MOST_SERIES = 200
"""Largest number of curves of a chart."""

COLOURS = (
    ("#1769aa", "#63b3f2"),
    ("#c2410c", "#fb9a5b"),
    ("#15803d", "#5fd08a"),
    ("#9d2f8f", "#e48bd8"),
    ("#7a6400", "#d9c04a"),
    ("#0e7c86", "#4fd1d9"),
    ("#b42335", "#f98a98"),
    ("#4b5563", "#b3bcc9"),
)
"""Colours of curves on light and on dark ground: each has a contrast of 4.5 or more."""

ON_LIGHT = ("#440154", "#3b4cc0", "#1a74ad", "#15803d", "#806600", "#c2410c")
ON_DARK = ("#c9a8ff", "#8fa8ff", "#56c0e8", "#5fd08a", "#d9c04a", "#fb9a5b")
"""Colours of curves in order, from the first to the last."""

DASHES = ("none", "7 4", "2 4", "8 4 2 4")
"""Patterns of lines, by their index."""

VIRIDIS = (
    (68, 1, 84), (71, 45, 123), (59, 82, 139), (44, 114, 142), (33, 145, 140), (40, 174, 128),
    (94, 201, 98), (173, 220, 48), (253, 231, 37),
)  # fmt: skip
"""Anchors of the colours of heatmaps, from the least to the greatest."""


def chart(drawing: Drawing, most: int = MOST_POINTS, *, data: bool = True) -> str:
    """Draw a curve or a heatmap as an HTML figure, with at most this many points, and with its
    `data` for a script. All texts in it are escaped.

    >>> from ceflow.blocks import Curve, Series
    >>> line = Series("a < b", (1.0, 2.0), (3.0, 4.0))
    >>> text = chart(Curve("law", "a law", "x", "y", (line,)))
    >>> "<figcaption>a law</figcaption>" in text, "a &lt; b" in text, "a < b" in text
    (True, True, False)
    """
    placed, left_out = drawable(shown(drawing))
    if isinstance(placed, Heatmap):
        parts, thinned = _heatmap(placed, min(most, MOST_POINTS))
        return _figure(placed, parts, data, left_out, thinned)
    kept, thinned = _thinned(placed, min(most, MOST_POINTS))
    parts = _curve(kept, thinned=bool(thinned))
    return _figure(kept, parts, data, left_out, thinned)


def _figure(drawing: Drawing, parts: tuple[str, str, str], with_data: bool, *notes: str) -> str:
    """Join the picture, its legend and its data."""
    picture, legend, data = parts
    said = "".join(f'<p class="aside">{escape(note)}</p>' for note in notes if note)
    script = f'<script type="application/json">{data}</script>' if with_data else ""
    caption = f"<figcaption>{escape(drawing.title)}</figcaption>"
    return (
        f'<figure class="chart" data-name="{escape(drawing.name)}">{caption}'
        f'<div class="picture">{picture}</div>{legend}{said}{script}</figure>'
    )


def _thinned(curve: Curve, points: int) -> tuple[Curve, str]:
    """Keep the points of long curves that show, and say how many there are."""
    every = sum(len(series.x) for series in curve.series)
    series = curve.series[:MOST_SERIES]
    if every > points:
        most = max(points // len(series), FEWEST_POINTS)
        series = tuple(_extremes(each, most) for each in series)
    kept = sum(len(each.x) for each in series)
    said = f"{kept:,} of {every:,} points are drawn" if kept < every else ""
    if len(series) < len(curve.series):
        said += f", of {len(series)} of {len(curve.series)} curves"
    return replace(curve, series=series), said


def _extremes(series: Series, most: int) -> Series:
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


@dataclass(frozen=True)
class _Frame:
    """The two axes of a chart in pixels."""

    x: Axis
    y: Axis
    left: float

    def across(self, value: float) -> float:
        return self.left + self.x.share(value) * (WIDTH - RIGHT - self.left)

    def down(self, value: float) -> float:
        return HEIGHT - BOTTOM - self.y.share(value) * (HEIGHT - BOTTOM - TOP)


def _curve(curve: Curve, *, thinned: bool) -> tuple[str, str, str]:
    x = [value for series in curve.series for value in series.x]
    y = [
        [value for series in curve.series for value in _extent(series, log)]
        for log in (False, True)
    ]
    axes = {"x": _scales(x, x, curve.log_x), "y": _scales(y[0], y[1], curve.log_y)}
    across, down = axes["x"][curve.log_x], axes["y"][curve.log_y]
    assert across is not None
    assert down is not None
    frame = _Frame(across, down, _left(down))
    colours = _colours(curve)
    drawn = "".join(
        _series(frame, each, colour) for each, colour in zip(curve.series, colours, strict=True)
    )
    picture = _svg(_words(curve), _axes(frame, curve.x_label, curve.y_label) + drawn)
    data: dict[str, Any] = {
        "kind": "curve",
        "labels": [curve.x_label, curve.y_label],
        "log": [curve.log_x, curve.log_y],
        "axes": [[axis and axis.plain() for axis in axes[name]] for name in "xy"],
        "thinned": thinned,
        "series": [
            {
                "label": series.label,
                "style": series.style,
                "x": _rounded(series.x),
                "y": _rounded(series.y),
                "error": _rounded(series.error),
            }
            for series in curve.series
        ],
    }
    return picture, _legend(curve, colours), _json(data)


def _extent(series: Series, log: bool) -> Iterator[float]:
    """Yield the ends of the bars or bands of a series, or its values if it has none."""
    errors = series.error or (0.0,) * len(series.y)
    for y, error in zip(series.y, errors, strict=True):
        yield max(y - error, y / 10) if log else y - error
        yield y + error


def _scales(values: list[float], above: list[float], log: bool) -> tuple[Axis | None, Axis | None]:
    """Return the linear axis over values and the logarithmic one over those `above`, if there can
    be one.
    """
    if log and not above:
        values = above = [1.0]
    positive = bool(above) and min(above) > 0
    return axis_over(values, log=False), axis_over(above, log=True) if positive else None


def _left(axis: Axis) -> float:
    longest = max((len(label) for _, label in axis.ticks), default=1)
    return 30 + CHARACTER * min(longest, 20)


def _colours(curve: Curve) -> list[tuple[str, str]]:
    """Return the colours of the series on light and on dark ground: in order if these are."""
    places = [
        index if series.colour is None else series.colour
        for index, series in enumerate(curve.series)
    ]
    last = max(places, default=0)
    if last < 1 or not (curve.legend or last >= len(COLOURS)):
        return [COLOURS[place % len(COLOURS)] for place in places]
    shares = [place / last for place in places]
    return [(_between(ON_LIGHT, share), _between(ON_DARK, share)) for share in shares]


def _between(colours: Sequence[str], share: float) -> str:
    """Mix the two of the colours between which a share lies."""
    anchors = [tuple(int(c[i : i + 2], 16) for i in (1, 3, 5)) for c in colours]
    return _hex(_mixed(anchors, share))


def _mixed(anchors: Sequence[tuple[int, ...]], share: float) -> tuple[int, ...]:
    place = share * (len(anchors) - 1)
    low = min(int(place), len(anchors) - 2)
    return tuple(
        round(a + (place - low) * (b - a))
        for a, b in zip(anchors[low], anchors[low + 1], strict=True)
    )


def _style(colour: tuple[str, str]) -> str:
    light, dark = colour
    return f'style="color:{light};color:light-dark({light},{dark})"'


def _series(frame: _Frame, series: Series, colour: tuple[str, str]) -> str:
    points = [(frame.across(x), frame.down(y)) for x, y in zip(series.x, series.y, strict=True)]
    drawn = ""
    if series.error:
        drawn += _errors(frame, series)
    if series.style != "points" and points:
        line = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
        dash = f' stroke-dasharray="{DASHES[series.dash % 4]}"' if series.dash else ""
        drawn += f'<path class="line"{dash} d="M{line}"/>'
    if series.style != "line" or len(points) == 1:
        marks = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in points)
        drawn += f'<path class="marks" d="{marks}"/>'
    return f'<g class="series" {_style(colour)}>{drawn}</g>'


def _errors(frame: _Frame, series: Series) -> str:
    """Draw the errors as a bar at each point, or as a band along a line."""
    ends = list(_extent(series, frame.y.log))
    sides = list(zip(map(frame.across, series.x), ends[::2], ends[1::2], strict=True))
    if series.style == "line":
        there = [f"{x:.1f} {frame.down(high):.1f}" for x, _, high in sides]
        back = [f"{x:.1f} {frame.down(low):.1f}" for x, low, _ in reversed(sides)]
        return f'<path class="band" d="M{"L".join(there + back)}Z"/>'
    bars = (f"M{x:.1f} {frame.down(low):.1f}V{frame.down(high):.1f}" for x, low, high in sides)
    return f'<path class="bars" d="{"".join(bars)}"/>'


def _axes(frame: _Frame, x_label: str, y_label: str) -> str:
    """Draw both axes with their ticks, grid and labels."""
    left, right, bottom = f"{frame.left:.0f}", WIDTH - RIGHT, HEIGHT - BOTTOM
    lines, texts = [], []
    for value, label in frame.x.ticks:
        x = f"{frame.across(value):.1f}"
        lines.append(f"M{x} {TOP}V{bottom}")
        texts.append(f'<text x="{x}" y="{bottom + 18}" text-anchor="middle">{escape(label)}</text>')
    for value, label in frame.y.ticks:
        y = frame.down(value)
        lines.append(f"M{left} {y:.1f}H{right}")
        place = f'x="{frame.left - 8:.0f}" y="{y + 4:.1f}"'
        texts.append(f'<text {place} text-anchor="end">{escape(label)}</text>')
    middle = f"{(frame.left + right) / 2:.0f}"
    texts.append(
        f'<text x="{middle}" y="{HEIGHT - 6}" text-anchor="middle">{escape(x_label)}</text>'
    )
    up = f"{(TOP + bottom) / 2:.0f}"
    turned = f'transform="translate(14 {up}) rotate(-90)" text-anchor="middle"'
    texts.append(f"<text {turned}>{escape(y_label)}</text>")
    return (
        f'<g class="axes"><path class="grid" d="{"".join(lines)}"/>'
        f'<path class="frame" d="M{left} {TOP}V{bottom}H{right}"/>{"".join(texts)}</g>'
    )


def _svg(words: str, inner: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(words)}"'
        ' font-family="system-ui, sans-serif" font-size="12">'
        "<style>.grid{stroke:currentColor;opacity:.12}.frame{stroke:currentColor;opacity:.5}"
        ".frame,.grid,.line,.bars{fill:none}.line{stroke:currentColor;stroke-width:2}"
        ".marks{stroke:currentColor;stroke-width:7;stroke-linecap:round}"
        ".bars{stroke:currentColor;stroke-width:1.5}.band{fill:currentColor;opacity:.2}"
        ".axes text{fill:currentColor}</style>"
        f"{inner}</svg>"
    )


def _words(drawing: Drawing) -> str:
    """Describe a drawing for those who do not see it."""
    x = [value for series in drawing.series for value in series.x]
    y = [value for series in drawing.series for value in series.y]
    if not x:
        return f"{drawing.title}: an empty drawing"
    kind = "heatmap" if isinstance(drawing, Heatmap) else "plot"
    names = [series.label for series in drawing.series[:8] if series.label]
    of = f"; {', '.join(names)}" if names else ""
    return (
        f"{drawing.title}: a {kind} of {drawing.y_label} from {number(min(y))} to {number(max(y))},"
        f" over {drawing.x_label} from {number(min(x))} to {number(max(x))}{of}"
    )


def _legend(curve: Curve, colours: Sequence[tuple[str, str]]) -> str:
    if not any(series.label for series in curve.series):
        return ""
    title = f"<b>{escape(curve.legend)}</b>" if curve.legend else ""
    items = "".join(
        f"<li><i {_style(colour)}>●</i> {escape(series.label)}</li>"
        for series, colour in zip(curve.series, colours, strict=True)
    )
    return f'<div class="legend">{title}<ul>{items}</ul></div>'


def _heatmap(heatmap: Heatmap, most: int) -> tuple[tuple[str, str, str], str]:
    """Draw a heatmap with one row of cells per series, and a bar of its colours; say what is left
    out. Each cell extends half-way to the next x, as in figures.
    """
    every = [y for series in heatmap.series for y in series.y]
    if not every:
        axis = axis_over([], log=False)
        empty = _axes(_Frame(axis, axis, _left(axis)), heatmap.x_label, heatmap.legend)
        return (_svg(_words(heatmap), empty), "", _json({"kind": "none"})), ""
    each = max(most // len(heatmap.series), 2)
    rows = [_extremes(series, each) for series in heatmap.series]
    kept = sum(len(series.x) for series in rows)
    said = "" if kept == len(every) else f"{kept:,} of {len(every):,} cells are drawn"
    across = axis_over([x for series in rows for x in series.x], log=False, tight=True)
    colour = axis_over(every, log=heatmap.log, tight=True)
    labels = [number(series.label) for series in rows]
    left = 34 + CHARACTER * min(max(map(len, labels)), 24)
    right = WIDTH - RIGHT - 90
    bottom = HEIGHT - BOTTOM
    step = (bottom - TOP) / len(rows)
    cells = [
        cell
        for index, series in enumerate(rows)
        for cell in _cells(series, across, colour, (left, right), TOP + index * step, step)
    ]
    texts = [
        f'<text x="{left - 8:.0f}" y="{TOP + (index + 0.5) * step + 4:.1f}" text-anchor="end">'
        f"{escape(label[:24])}</text>"
        for index, label in _spaced(labels, step)
    ]
    texts += [
        f'<text x="{left + across.share(value) * (right - left):.1f}" y="{bottom + 18}"'
        f' text-anchor="middle">{escape(label)}</text>'
        for value, label in across.ticks
    ]
    texts.append(
        f'<text x="{(left + right) / 2:.0f}" y="{HEIGHT - 6}" text-anchor="middle">'
        f"{escape(heatmap.x_label)}</text>"
    )
    turned = f"translate(14 {(TOP + bottom) / 2:.0f}) rotate(-90)"
    texts.append(f'<text transform="{turned}" text-anchor="middle">{escape(heatmap.legend)}</text>')
    picture = _svg(
        _words(heatmap),
        f'<g shape-rendering="crispEdges">{"".join(cells)}</g>'
        f'<g class="axes">{"".join(texts)}</g>' + _bar(colour, heatmap.y_label, right + 16),
    )
    data = {
        "kind": "heatmap",
        "labels": [heatmap.x_label, heatmap.legend, heatmap.y_label],
        "area": [round(left, 1), TOP, round(right, 1), bottom],
        "rows": [
            {"label": label, "x": _rounded(series.x), "y": _rounded(series.y)}
            for label, series in zip(labels, rows, strict=True)
        ],
        "x": [across.low, across.high],
        "thinned": bool(said),
    }
    return (picture, "", _json(data)), said


def _cells(
    series: Series,
    across: Axis,
    colour: Axis,
    ends: tuple[float, float],
    top: float,
    height: float,
) -> Iterator[str]:
    """Yield the cells of a row, of which those of one colour beside each other are one."""
    left, right = ends
    edges = [series.x[0], *((a + b) / 2 for a, b in pairwise(series.x)), series.x[-1]]
    places = [left + across.share(edge) * (right - left) for edge in edges]
    begin = 0
    colours = [_hex(_colour(colour, y)) for y in series.y]
    for index, fill in enumerate(colours):
        if index + 1 == len(colours) or colours[index + 1] != fill:
            x, wide = places[begin], places[index + 1] - places[begin]
            yield (
                f'<path fill="{fill}" d="M{x:.1f} {top:.1f}h{max(wide, 0.3):.1f}'
                f'v{height:.1f}h-{max(wide, 0.3):.1f}z"/>'
            )
            begin = index + 1


def _hex(colour: tuple[int, ...]) -> str:
    return "#" + "".join(f"{value:02x}" for value in colour)


def _spaced(labels: Sequence[str], step: float) -> Iterator[tuple[int, str]]:
    """Yield the labels of rows of this height that do not overlap."""
    every = max(math.ceil(14 / step), 1)
    yield from ((index, label) for index, label in enumerate(labels) if index % every == 0)


def _colour(axis: Axis, value: float) -> tuple[int, ...]:
    return _mixed(VIRIDIS, min(max(axis.share(value), 0.0), 1.0))


def _bar(axis: Axis, label: str, left: float) -> str:
    """Draw the bar that says which colour stands for which number."""
    height, bottom = HEIGHT - BOTTOM - TOP, HEIGHT - BOTTOM
    step = height / 64
    shades = "".join(
        f'<path fill="{_hex(_mixed(VIRIDIS, index / 63))}"'
        f' d="M{left:.0f} {bottom - (index + 1) * step:.1f}h12v{step + 0.5:.1f}h-12z"/>'
        for index in reversed(range(64))
    )
    texts = [
        f'<text x="{left + 18:.0f}" y="{bottom - axis.share(value) * height + 4:.1f}">'
        f"{escape(tick)}</text>"
        for value, tick in axis.ticks
    ]
    turned = f"translate({WIDTH - 4} {TOP + height / 2:.0f}) rotate(-90)"
    texts.append(f'<text transform="{turned}" text-anchor="middle">{escape(label)}</text>')
    return f'{shades}<g class="axes">{"".join(texts)}</g>'


def _rounded(values: Iterable[float]) -> list[float]:
    """Round to nine digits, which no chart shows; whole numbers stay."""
    return [
        int(value) if value == int(value) and abs(value) < 2**53 else float(f"{value:.9g}")
        for value in values
    ]


def _json(data: Any) -> str:
    """Write data so that no text in them ends their element."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")

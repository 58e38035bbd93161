"""Curves as SVG."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from html import escape

from ceflow.blocks.axes import Axis, axis_over
from ceflow.blocks.chart.frame import Frame, Parts, left_margin, picture, rounded
from ceflow.blocks.chart.thinning import thinned_curves
from ceflow.blocks.content import Curve, Series
from ceflow.blocks.palette import curve_colours
from ceflow.blocks.placing import error_ends

DASHES = ("none", "7 4", "2 4", "8 4 2 4")
"""Patterns of lines, by their index."""


def curve_parts(curve: Curve, most: int) -> Parts:
    """Draw curves of at most `most` points."""
    kept, thinned = thinned_curves(curve.series, most)
    curve = replace(curve, series=kept)
    across = [value for each in kept for value in each.x]
    x_axes = _scales(across, across)
    y_axes = _scales(_reach(kept, log=False), _reach(kept, log=True))
    x, y = (curve.log_x and x_axes[1]) or x_axes[0], (curve.log_y and y_axes[1]) or y_axes[0]
    frame = Frame(x, y, left_margin(y))
    styles = [_style(*pair) for pair in curve_colours(curve.colours, ordered=bool(curve.legend))]
    drawn = (_series(frame, *each) for each in zip(kept, styles, strict=True))
    axes = f'<g class="axes">{frame.lines()}{frame.labels(curve.x_label, curve.y_label)}</g>'
    data = {
        "kind": "curve",
        "labels": [curve.x_label, curve.y_label],
        "log": [x.log, y.log],
        "axes": [[axis and axis.plain() for axis in pair] for pair in (x_axes, y_axes)],
        "thinned": bool(thinned),
        "series": [
            {
                "label": each.label,
                "style": each.style,
                "x": rounded(each.x),
                "y": rounded(each.y),
                "error": rounded(each.error),
            }
            for each in kept
        ],
    }
    return Parts(picture(curve, axes + "".join(drawn)), _legend(curve, styles), data, thinned)


def _scales(values: Sequence[float], above: Sequence[float]) -> tuple[Axis, Axis | None]:
    """Return the linear axis over values, and the logarithmic one if those `above` are above 0."""
    positive = bool(above) and min(above) > 0
    return axis_over(values, log=False), axis_over(above, log=True) if positive else None


def _reach(every: Iterable[Series], *, log: bool) -> list[float]:
    """List the ends of all bars and bands, or the points of series without."""
    return [end for series in every for ends in error_ends(series, log=log) for end in ends]


def _style(light: str, dark: str) -> str:
    return f'style="color:{light};color:light-dark({light},{dark})"'


def _series(frame: Frame, series: Series, style: str) -> str:
    points = [
        f"{frame.across(x):.1f} {frame.down(y):.1f}"
        for x, y in zip(series.x, series.y, strict=True)
    ]
    drawn = _errors(frame, series) if series.error else ""
    if series.style != "points" and points:
        dash = f' stroke-dasharray="{DASHES[series.dash % len(DASHES)]}"' if series.dash else ""
        drawn += f'<path class="line"{dash} d="M{"L".join(points)}"/>'
    if series.style != "line" or len(points) == 1:
        marks = "".join(f"M{point}h0" for point in points)
        drawn += f'<path class="marks" d="{marks}"/>'
    return f'<g class="series" {style}>{drawn}</g>'


def _errors(frame: Frame, series: Series) -> str:
    """Draw the errors as a bar at each point, or as a band along a line."""
    ends = zip(series.x, error_ends(series, log=frame.y.log), strict=True)
    sides = [
        (f"{frame.across(x):.1f}", f"{frame.down(low):.1f}", f"{frame.down(high):.1f}")
        for x, (low, high) in ends
    ]
    if series.style == "line":
        there = [f"{x} {high}" for x, _, high in sides]
        back = [f"{x} {low}" for x, low, _ in reversed(sides)]
        return f'<path class="band" d="M{"L".join(there + back)}Z"/>'
    bars = (f"M{x} {low}V{high}" for x, low, high in sides)
    return f'<path class="bars" d="{"".join(bars)}"/>'


def _legend(curve: Curve, styles: Sequence[str]) -> str:
    if not any(series.label for series in curve.series):
        return ""
    title = f"<b>{escape(curve.legend)}</b>" if curve.legend else ""
    items = "".join(
        f"<li><i {style}>●</i> {escape(series.label)}</li>"
        for series, style in zip(curve.series, styles, strict=True)
    )
    return f'<div class="legend">{title}<ul>{items}</ul></div>'

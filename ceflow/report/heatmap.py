"""Heatmaps drawn with characters; without colours, in shades."""

import math
from bisect import bisect_right
from collections.abc import Sequence

from rich.text import Text

from ceflow.blocks import Heatmap, Series, shortened
from ceflow.blocks.palette import VIRIDIS, mixed
from ceflow.report.text import ends, share, spaced

SHADES = "░▒▓█"
"""Characters for low to high values."""

LONGEST_LABEL = 30
"""Maximum number of characters of a row's label."""

SHORT_LABEL = 12
"""Length of labels beside which a drawing of 64 cells fits in 80 columns."""


def draw_heatmap(heatmap: Heatmap, width: int = 64) -> list[Text]:
    """Draw the title, a row of cells per series, the ends and label of x, and the legend of the
    colours.

    A cell shows y at its middle, by linear interpolation; it is empty outside the range of the
    series.
    """
    if not heatmap.series:
        return [Text(heatmap.title)]
    scale = _Scale([y for series in heatmap.series for y in series.y], heatmap.log)
    every = [x for series in heatmap.series for x in series.x]
    low, high = min(every), max(every)
    margin = min(LONGEST_LABEL, max(len(series.label) for series in heatmap.series))
    width -= max(0, margin - SHORT_LABEL)
    middles = [low + (high - low) * (column + 0.5) / width for column in range(width)]
    pad = " " * margin
    least, most = ends(scale.low, scale.high)
    return [
        Text(heatmap.title),
        *(_row(series, middles, margin, scale) for series in heatmap.series),
        Text(f"{pad} └{'─' * width}"),
        Text(f"{pad}  {spaced(*ends(low, high), width)}"),
        Text(f"{pad}  {heatmap.x_label}, by {heatmap.legend}"),
        Text.assemble(f"{pad}  {heatmap.y_label}  {least} ", scale.ramp(16)).append(
            f" {most}{', logarithmic' if heatmap.log else ''}"
        ),
    ]


class _Scale:
    """A map from values to cells."""

    def __init__(self, values: Sequence[float], log: bool):
        self.log, self.low, self.high = log, min(values), max(values)

    def cell(self, value: float | None) -> Text:
        if value is None:
            return Text(" ")
        low, high, at = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return _shade(share(at, low, high))

    def ramp(self, count: int) -> Text:
        """Draw this many evenly spaced cells of the scale, in order."""
        return Text("").join(_shade(k / (count - 1)) for k in range(count))


def _shade(part: float) -> Text:
    """Return the shade for a number from 0 to 1, in a colour that hides it."""
    shade = SHADES[min(int(part * len(SHADES)), len(SHADES) - 1)]
    colour = "rgb({},{},{})".format(*mixed(VIRIDIS, part))
    return Text(shade, f"{colour} on {colour}")


def _row(series: Series, middles: list[float], margin: int, scale: _Scale) -> Text:
    cells = (scale.cell(_interpolated(series, x)) for x in middles)
    return Text.assemble(f"{shortened(series.label, margin):>{margin}} ┤", *cells)


def _interpolated(series: Series, x: float) -> float | None:
    """Interpolate y at x between its neighbours; None outside the range."""
    at = bisect_right(series.x, x)
    if not 0 < at < len(series.x):
        return None
    (x0, x1), (y0, y1) = series.x[at - 1 : at + 1], series.y[at - 1 : at + 1]
    return y0 + (y1 - y0) * (x - x0) / (x1 - x0)

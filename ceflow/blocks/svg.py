"""Drawings as SVG figures, by Matplotlib."""

import io
import math
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ceflow.blocks.content import Curve, Drawing, Heatmap, Series
from ceflow.blocks.placing import drawable, shown
from ceflow.spec import printable
from ceflow.spec.diagnostics import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

LONG_LABEL = 30
"""Number of characters above which a label does not fit inside the axes."""

LONGEST_TEXT = 60
"""Maximum number of characters of a horizontal text."""

LONGEST_VERTICAL_TEXT = 40
"""Maximum number of characters of a vertical text, or of one beside the axes."""

MOST_LABELS = 16
"""Maximum number of labels."""

MOST_LABELS_INSIDE = 5
"""Maximum number of labels inside the axes."""

MOST_CELLS = 5000
"""Largest number of heatmap cells that are drawn as shapes; a larger heatmap is drawn as an
image."""

DASHES = ("-", "--", ":", "-.")
"""Patterns of lines, by their index."""

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

STYLE: Any = {
    "svg.hashsalt": "ceflow",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.family": "DejaVu Sans",
    "text.usetex": False,
}


def draw_svg(drawing: Drawing) -> str:
    """Return a drawing as SVG text; the same drawing gives the same text."""
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context(STYLE):
        figure_of(drawing).savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def figure_of(drawing: Drawing) -> "Figure":
    """Draw a drawing as a Matplotlib figure."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    drawing, left_out = drawable(shown(drawing, _lettered))
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(6, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.set(title=drawing.title, xlabel="\n".join(filter(None, (drawing.x_label, left_out))))
        if isinstance(drawing, Heatmap):
            _draw_heatmap(figure, axes, drawing)
        else:
            _draw_curve(figure, axes, drawing)
    return figure


def _lettered(text: str) -> str:
    """Escape a text so that Matplotlib does not read it as mathematics or lack a glyph for it."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    known = (c if font.get_char_index(ord(c)) else ascii(c)[1:-1] for c in printable(text))
    return cut("".join(known), LONGEST_TEXT).replace("$", r"\$")


def _draw_curve(figure: "Figure", axes: "Axes", curve: Curve) -> None:
    drawn = any(series.x for series in curve.series)
    axes.set_xscale("log" if curve.log_x and drawn else "linear")
    axes.set_yscale("log" if curve.log_y and drawn else "linear")
    for axis in (axes.xaxis, axes.yaxis):
        if axis.get_scale() == "log":
            _label_powers(axis)
    axes.set(ylabel=cut(curve.y_label, LONGEST_VERTICAL_TEXT))
    colours = [
        index if series.colour is None else series.colour
        for index, series in enumerate(curve.series)
    ]
    for at, series in zip(colours, curve.series, strict=True):
        marks: Any = {} if series.style == "line" else {"marker": "o"}
        marks["linestyle"] = "none" if series.style == "points" else DASHES[series.dash % 4]
        marks["color"] = _of_sequence(at, max(colours) + 1) if curve.legend else f"C{at}"
        (line,) = axes.plot(series.x, series.y, **marks)
        _draw_error(axes, series, line.get_color())
    _draw_legend(figure, axes, curve)


def _label_powers(axis: "Axis") -> None:
    """Label a logarithmic axis with numbers and raised digits, 0.01 and 10⁻³.

    Matplotlib's own labels are mathematics, which it parses in 8 ms each: half the time of a
    figure.
    """
    from matplotlib.ticker import LogFormatterSciNotation

    class Powers(LogFormatterSciNotation):
        def __call__(self, x: float, pos: int | None = None) -> str:
            return power_of_ten(x) if super().__call__(x, pos) else ""

    axis.set_major_formatter(Powers())
    axis.set_minor_formatter(Powers(labelOnlyBase=False, minor_thresholds=(1, 0.4)))


def power_of_ten(x: float) -> str:
    """Return a label of a logarithmic axis.

    >>> [power_of_ten(x) for x in (1e-9, 3e-3, 0.05, 2, 1000, 5e4)]
    ['10⁻⁹', '3×10⁻³', '0.05', '2', '1000', '5×10⁴']
    """
    exponent = math.floor(math.log10(x) + 1e-9)
    if -2 <= exponent <= 3:
        return f"{x:g}"
    factor = f"{x / 10.0**exponent:g}×" if abs(x / 10.0**exponent - 1) > 1e-6 else ""
    return f"{factor}10{str(exponent).translate(RAISED)}"


def _draw_error(axes: "Axes", series: Series, color: Any) -> None:
    """Draw a bar of one standard error on both sides of a point, or a band along a line.

    On a logarithmic axis a side that would reach 0 ends at a tenth of its point.
    """
    if not series.error:
        return
    log = axes.get_yscale() == "log"
    pairs = list(zip(series.y, series.error, strict=True))
    low = [max(y - error, y / 10) if log else y - error for y, error in pairs]
    high = [y + error for y, error in pairs]
    if series.style != "line":
        axes.vlines(series.x, low, high, colors=color, linewidth=1)
    else:
        axes.fill_between(series.x, low, high, color=color, alpha=0.25, linewidth=0)


def _draw_legend(figure: "Figure", axes: "Axes", curve: Curve) -> None:
    """Label the series, inside the axes if there is room; if there are too many, only the first
    ones.
    """
    labels = [series.label for series in curve.series]
    wide = max(map(len, labels), default=0) > LONG_LABEL
    room = MOST_LABELS // 2 if wide else MOST_LABELS
    title = (curve.legend + (f" ({len(labels) - room} more)" if len(labels) > room else "")).strip()
    places: Any = {"handles": axes.lines[:room], "labels": ["-"] * len(labels[:room])}
    if wide:
        below: Any = {"loc": "outside lower left", "fontsize": "small"}
        legend = figure.legend(**places, title=title, frameon=False, **below)
    elif len(labels) > MOST_LABELS_INSIDE:
        legend = figure.legend(**places, title=title, frameon=False, loc="outside right upper")
    else:
        legend = axes.legend(**places, title=title, frameon=False)
    for text, label in zip(legend.get_texts(), labels, strict=False):
        text.set_text(label)  # Matplotlib itself leaves out labels that begin with _


def _of_sequence(index: int, count: int) -> Any:
    """Return a colour from a map, dark to bright, without its end, which is too bright
    for lines.
    """
    import matplotlib as mpl

    return mpl.colormaps["viridis"](0.9 * index / max(count - 1, 1))


def _draw_heatmap(figure: "Figure", axes: "Axes", heatmap: Heatmap) -> None:
    """Draw one row per series, the first on top; each colour extends half-way to the next x."""
    from matplotlib.colors import LogNorm, Normalize

    every = [y for series in heatmap.series for y in series.y]
    if not every:
        return
    norm = (LogNorm if heatmap.log else Normalize)(min(every), max(every))
    for row, series in enumerate(heatmap.series):
        edges = [series.x[0], *((a + b) / 2 for a, b in pairwise(series.x)), series.x[-1]]
        mesh = axes.pcolormesh(edges, [row, row + 1], [series.y], norm=norm)
        mesh.set_rasterized(len(every) > MOST_CELLS)
        if row == 0:
            figure.colorbar(mesh, label=cut(heatmap.y_label, LONGEST_VERTICAL_TEXT))
    labels = [cut(series.label, LONG_LABEL) for series in heatmap.series]
    axes.set_yticks([row + 0.5 for row in range(len(labels))], labels)
    axes.set(ylabel=cut(heatmap.legend, LONGEST_VERTICAL_TEXT))
    axes.invert_yaxis()

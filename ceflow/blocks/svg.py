"""Drawings as SVG figures, by Matplotlib."""

import io
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ceflow.blocks.content import Curve, Drawing, Heatmap
from ceflow.blocks.placing import drawable, shown
from ceflow.spec import printable
from ceflow.spec.diagnostics import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONG = 30
"""Characters of a label that does not stand inside the axes."""

LONGEST = 60
"""Characters of a text along the width."""

HIGHEST = 40
"""Characters of a text along the height, or beside the axes."""

MOST = 16
"""Labels that there is room for."""

MANY = 5
"""Labels that fit inside the axes."""

CELLS = 5000
"""Of a heatmap, that are drawn one by one; more become an image."""

STYLE: Any = {
    "svg.hashsalt": "ceflow",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "font.family": "DejaVu Sans",
    "text.usetex": False,
}


def draw_svg(drawing: Drawing) -> str:
    """Draw one drawing as the text of an SVG; the same drawing gives the same text."""
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
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
    return text.getvalue()


def _lettered(text: str) -> str:
    """Write a text that Matplotlib takes for letters, not mathematics, all of them in its font."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    known = (c if font.get_char_index(ord(c)) else ascii(c)[1:-1] for c in printable(text))
    return cut("".join(known), LONGEST).replace("$", r"\$")


def _draw_curve(figure: "Figure", axes: "Axes", curve: Curve) -> None:
    drawn = any(series.x for series in curve.series)
    axes.set_xscale("log" if curve.log_x and drawn else "linear")
    axes.set_yscale("log" if curve.log_y and drawn else "linear")
    axes.set(ylabel=cut(curve.y_label, HIGHEST))
    for index, series in enumerate(curve.series):
        marks: Any = {"linestyle": "none", "marker": "o"} if series.style == "points" else {}
        if curve.legend:
            marks["color"] = _of_sequence(index, len(curve.series))
        axes.plot(series.x, series.y, **marks)
    _draw_legend(figure, axes, curve)


def _draw_legend(figure: "Figure", axes: "Axes", curve: Curve) -> None:
    """Say what each series is, inside the axes where there is room; of very many the first."""
    labels = [series.label for series in curve.series]
    wide = max(map(len, labels), default=0) > LONG
    room = MOST // 2 if wide else MOST
    title = curve.legend + (f" ({len(labels) - room} more)" if len(labels) > room else "")
    places: Any = {"handles": axes.lines[:room], "labels": ["-"] * len(labels[:room])}
    if wide:
        legend = figure.legend(**places, frameon=False, loc="outside lower left", fontsize="small")
    elif len(labels) > MANY:
        legend = figure.legend(**places, title=title, frameon=False, loc="outside right upper")
    else:
        legend = axes.legend(**places, title=title, frameon=False)
    for text, label in zip(legend.get_texts(), labels, strict=False):
        text.set_text(label)  # Matplotlib itself leaves out labels that begin with _


def _of_sequence(index: int, count: int) -> Any:
    """Take a colour from a map, dark to bright, whose end is too bright for a line."""
    import matplotlib as mpl

    return mpl.colormaps["viridis"](0.9 * index / max(count - 1, 1))


def _draw_heatmap(figure: "Figure", axes: "Axes", heatmap: Heatmap) -> None:
    """Draw a row for each series, the first on top; each colour reaches half-way to the next x."""
    from matplotlib.colors import LogNorm, Normalize

    every = [y for series in heatmap.series for y in series.y]
    if not every:
        return
    norm = (LogNorm if heatmap.log else Normalize)(min(every), max(every))
    for row, series in enumerate(heatmap.series):
        edges = [series.x[0], *((a + b) / 2 for a, b in pairwise(series.x)), series.x[-1]]
        mesh = axes.pcolormesh(edges, [row, row + 1], [series.y], norm=norm)
        mesh.set_rasterized(len(every) > CELLS)
        if row == 0:
            figure.colorbar(mesh, label=cut(heatmap.y_label, HIGHEST))
    labels = [cut(series.label, LONG) for series in heatmap.series]
    axes.set_yticks([row + 0.5 for row in range(len(labels))], labels)
    axes.set(ylabel=cut(heatmap.legend, HIGHEST))
    axes.invert_yaxis()

"""Drawings as figures, in SVG and in PDF, by Matplotlib."""

import io
import re
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ceflow.blocks.content import Curve, Drawing, Heatmap, Series
from ceflow.blocks.placing import drawable, error_ends, shortened, shown
from ceflow.blocks.style import (
    COLOURS,
    DASHES,
    HEIGHT,
    MARKERS,
    ORDERED_COLOURS,
    SCREEN_SCALE,
    STYLE,
    WIDTH,
)
from ceflow.spec import printable
from ceflow.spec.diagnostics import cut

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LONG_LABEL = 30
"""Number of characters above which a label does not fit inside the axes."""

LONGEST_TEXT = 60
"""Maximum number of characters of a horizontal text."""

LONGEST_VERTICAL_TEXT = 40
"""Maximum number of characters of a vertical text, or of one beside the axes."""

LONGEST_ROW_LABEL = 26
"""Maximum number of characters of the label of a row, which leaves room for the row."""

MOST_ROW_LABELS = 14
"""Maximum number of rows that are labelled; of more rows, every second or so is."""

MOST_LABELS = 14
"""Maximum number of labels."""

MOST_LABELS_INSIDE = 5
"""Maximum number of labels inside the axes."""

LEAST_FACTOR = 1.5
"""Factor that values must span to be drawn on a logarithmic axis."""

MOST_CELLS = 5000
"""Largest number of heatmap cells that are drawn as shapes; a larger heatmap is drawn as an
image."""


def draw_svg(drawing: Drawing) -> str:
    """Return a drawing as SVG text, for the screen; the same drawing gives the same text."""
    text = io.StringIO()
    _arranged(drawing).savefig(text, format="svg", metadata={"Date": None})
    sizes = (f"{72 * SCREEN_SCALE * inches:g}pt" for inches in (WIDTH, HEIGHT))
    size = 'width="{}" height="{}"'.format(*sizes)
    return re.sub(r'width="[^"]*" height="[^"]*"', size, text.getvalue(), count=1)


def draw_pdf(drawing: Drawing) -> bytes:
    """Return a drawing as a PDF file, for a paper; the same drawing gives the same file."""
    content = io.BytesIO()
    _arranged(drawing).savefig(content, format="pdf", metadata={"CreationDate": None})
    return content.getvalue()


def _arranged(drawing: Drawing) -> "Figure":
    """Draw a figure whose parts are placed once; otherwise saving it places them again, which takes
    a quarter of the time.
    """
    import matplotlib as mpl

    figure = figure_of(drawing)
    engine = figure.get_layout_engine()
    if engine is not None:
        with mpl.rc_context(STYLE):
            engine.execute(figure)
    figure.set_layout_engine("none")
    return figure


def figure_of(drawing: Drawing) -> "Figure":
    """Draw a drawing as a Matplotlib figure, which is saved in the style of ceflow."""
    import matplotlib as mpl
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, NullLocator

    from ceflow.blocks.ticks import place_ticks

    class Styled(Figure):
        def savefig(self, *args: Any, **options: Any) -> None:
            with mpl.rc_context(STYLE):
                super().savefig(*args, **options)

    drawing, left_out = drawable(shown(drawing, _lettered))
    with mpl.rc_context(STYLE):
        figure = Styled(figsize=(WIDTH, HEIGHT), layout="constrained")
        axes = figure.add_subplot()
        axes.set(title=drawing.title, xlabel="\n".join(filter(None, (drawing.x_label, left_out))))
        if isinstance(drawing, Heatmap):
            _draw_heatmap(figure, axes, drawing)
        else:
            _draw_curve(figure, axes, drawing)
        for axis in (axis for each in figure.axes for axis in (each.xaxis, each.yaxis)):
            if not isinstance(axis.get_major_locator(), (FixedLocator, NullLocator)):
                place_ticks(axis)
    return figure


def _lettered(text: str) -> str:
    """Escape a text so that Matplotlib does not read it as mathematics or lack a glyph for it."""
    from matplotlib.font_manager import findfont, get_font

    font = get_font(findfont("DejaVu Sans"))
    known = (c if font.get_char_index(ord(c)) else ascii(c)[1:-1] for c in printable(text))
    return cut("".join(known), LONGEST_TEXT).replace("$", r"\$")


def _draw_curve(figure: "Figure", axes: "Axes", curve: Curve) -> None:
    for axis, log in (("x", curve.log_x), ("y", curve.log_y)):
        scale = "log" if log and _spread(curve, axis) else "linear"
        axes.set(**{f"{axis}scale": scale})
    axes.set(ylabel=cut(curve.y_label, LONGEST_VERTICAL_TEXT))
    for at, series in zip(curve.colours, curve.series, strict=True):
        marks = _marks(series, at, max(curve.colours) + 1, ordered=bool(curve.legend))
        (line,) = axes.plot(series.x, series.y, label=series.label, **marks)
        _draw_error(axes, series, line.get_color())
    _draw_legend(figure, axes, curve)


def _spread(curve: Curve, axis: str) -> bool:
    """Tell whether values differ by a factor that a logarithmic axis can show."""
    every = [value for series in curve.series for value in getattr(series, axis)]
    return bool(every) and max(every) > LEAST_FACTOR * min(every)


def _marks(series: Series, at: int, count: int, *, ordered: bool) -> dict[str, Any]:
    """Return the colour, the dashes and the marks of the series of this index of colours."""
    dash = series.dash if ordered or series.dash else at
    return {
        "color": _of_sequence(at, count) if ordered else COLOURS[at % len(COLOURS)],
        "linestyle": "none" if series.style == "points" else DASHES[dash % len(DASHES)],
        "marker": "" if series.style == "line" else MARKERS[0 if ordered else at % len(MARKERS)],
    }


def _draw_error(axes: "Axes", series: Series, color: Any) -> None:
    """Draw a bar of one standard error on both sides of a point, or a band along a line."""
    if not series.error:
        return
    low, high = zip(*error_ends(series, log=axes.get_yscale() == "log"), strict=True)
    if series.style != "line":
        axes.vlines(series.x, low, high, colors=color, linewidth=0.8)
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
        below: Any = {"loc": "outside lower left"}
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

    return mpl.colormaps[ORDERED_COLOURS](0.9 * index / max(count - 1, 1))


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
        mesh.set(edgecolor="face", linewidth=0.4)  # or viewers show seams between the cells
        mesh.set_rasterized(len(every) > MOST_CELLS)
        if row == 0:
            figure.colorbar(mesh, label=cut(heatmap.y_label, LONGEST_VERTICAL_TEXT))
    labels = [shortened(series.label, LONGEST_ROW_LABEL) for series in heatmap.series]
    stride = 1 + (len(labels) - 1) // MOST_ROW_LABELS
    axes.set_yticks([row + 0.5 for row in range(len(labels))][::stride], labels[::stride])
    axes.set(ylabel=cut(heatmap.legend, LONGEST_VERTICAL_TEXT))
    axes.invert_yaxis()

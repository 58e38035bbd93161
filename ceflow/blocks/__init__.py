"""Content of reports, and how figures and web pages draw it.

A stage describes its result by blocks (`content`): sentences, tables, curves and heatmaps.
`placing` prepares their points and texts, and `symbols` names their axes. `svg` draws figures by
Matplotlib, which have one `style` and `ticks` that do not overlap. `html` writes fragments of a
page, with a `chart` for each drawing, whose `axes` and `palette` need no Matplotlib.
`ceflow.report` draws blocks in the terminal.
"""

from ceflow.blocks.content import (
    UNDEFINED,
    Cell,
    Curve,
    Drawing,
    Heatmap,
    Note,
    ReportBlock,
    Series,
    Table,
    counted,
    defined,
    number,
    widths_text,
)
from ceflow.blocks.placing import drawable, shortened, shown
from ceflow.blocks.symbols import AXES, axis_name

__all__ = [
    "AXES",
    "UNDEFINED",
    "Cell",
    "Curve",
    "Drawing",
    "Heatmap",
    "Note",
    "ReportBlock",
    "Series",
    "Table",
    "axis_name",
    "counted",
    "defined",
    "drawable",
    "number",
    "shortened",
    "shown",
    "widths_text",
]

"""What there is to show, as `content`, and how figures and pages draw it.

A stage describes itself by blocks: sentences, tables, curves and heatmaps. `svg` and `html` draw
them, with what `placing` puts on axes; the terminal has its own way, in `ceflow.report`.
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
from ceflow.blocks.placing import drawable, shown

__all__ = [
    "UNDEFINED",
    "Cell",
    "Curve",
    "Drawing",
    "Heatmap",
    "Note",
    "ReportBlock",
    "Series",
    "Table",
    "counted",
    "defined",
    "drawable",
    "number",
    "shown",
    "widths_text",
]

"""Curves and heatmaps as SVG inside an HTML page: whole without a script, with the data for one.

Of plotting libraries plotly puts 3.6 MB into a page, altair 0.9 MB; Matplotlib's SVG has letters as
paths and no data. A chart here takes some 10 kB, and the script of the page (`report/page/page.js`)
draws it again from its data for another width or scale.

`frame` has the axes and texts that `curves` and `heatmaps` share, and `thinning` the points that
they leave out.
"""

import json
from html import escape

from ceflow.blocks.chart.curves import curve_parts
from ceflow.blocks.chart.heatmaps import heatmap_parts
from ceflow.blocks.content import Drawing, Heatmap
from ceflow.blocks.placing import drawable, shown

MOST_POINTS = 4000
"""Largest number of points of a chart; of longer curves, those that show are kept."""


def chart(drawing: Drawing, most: int = MOST_POINTS, *, data: bool = True) -> str:
    """Draw a curve or a heatmap as an HTML figure of at most `most` points; all texts are escaped.

    With `data`, the numbers are in it for the script of the page.

    >>> from ceflow.blocks import Curve, Series
    >>> line = Series("a < b", (1.0, 2.0), (3.0, 4.0))
    >>> text = chart(Curve("law", "a law", "x", "y", (line,)))
    >>> "<figcaption>a law</figcaption>" in text, "a &lt; b" in text, "a < b" in text
    (True, True, False)
    """
    placed, left_out = drawable(shown(drawing))
    most = min(most, MOST_POINTS)
    if isinstance(placed, Heatmap):
        parts = heatmap_parts(placed, most)
    else:
        parts = curve_parts(placed, most)
    notes = (f'<p class="aside">{escape(n)}</p>' for n in (left_out, parts.thinned) if n)
    script = f'<script type="application/json">{_json(parts.data)}</script>' if data else ""
    return (
        f'<figure class="chart" data-name="{escape(placed.name)}">'
        f"<figcaption>{escape(placed.title)}</figcaption>"
        f'<div class="picture">{parts.picture}</div>{parts.legend}{"".join(notes)}{script}</figure>'
    )


def _json(data: object) -> str:
    """Write data so that no text in them ends their element."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).replace("<", "\\u003c")

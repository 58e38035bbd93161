"""Blocks as HTML fragments, for notebooks and for the page of a run."""

import re
from collections.abc import Sequence
from html import escape

from ceflow.blocks.chart import MOST_POINTS, chart
from ceflow.blocks.content import Cell, Note, ReportBlock, Table, number
from ceflow.blocks.placing import shown

WARNING = "color:#9a6700;color:light-dark(#8a5a00,#e5b567)"
BREAKS = re.compile(r"([._/=,])(?=\w)")
"""Places in a heading where its line may break."""

NUMERIC = "text-align:right"
TEXT = "text-align:left"


def section(title: str, blocks: Sequence[ReportBlock]) -> str:
    """Draw blocks below a heading. All texts in them are escaped.

    >>> section("a < b", [Note("alpha = 3.41")])
    '<h4>a &lt; b</h4>\\n<p>alpha = 3.41</p>'
    """
    drawn = (block(each, data=False) for each in blocks)
    return "\n".join([f"<h4>{text(title)}</h4>", *drawn])


def block(content: ReportBlock, most: int = MOST_POINTS, *, data: bool = True) -> str:
    """Draw one block; a chart has at most this many points, and its `data` for a script."""
    if isinstance(content, Note):
        style = f' style="{WARNING}"' if content.warning else ""
        return f"<p{style}>{'warning: ' if content.warning else ''}{text(content.text)}</p>"
    return table(content) if isinstance(content, Table) else chart(content, most, data=data)


def table(content: Table) -> str:
    """Draw a table; numbers have all their digits in `data-value`."""
    wide = len(content.columns) > 2
    styles = [NUMERIC if wide and index else TEXT for index in range(len(content.columns))]
    head = ""
    if any(content.columns):
        cells = zip(styles, content.columns, strict=True)
        columns = "".join(_head(style, name) for style, name in cells)
        head = f"<thead><tr>{columns}</tr></thead>"
    rows = "".join(f"<tr>{_cells(row, styles)}</tr>" for row in content.rows)
    kind = ' class="numbers"' if wide else ""
    return f"<table{kind}>{head}<tbody>{rows}</tbody></table>"


def _cells(row: Sequence[Cell], styles: Sequence[str]) -> str:
    first, *rest = zip(styles, row, strict=True)
    begin = (
        f'<th scope="row" style="{TEXT};font-weight:normal"{_exact(first[1])}>'
        f"{text(number(first[1]))}</th>"
    )
    if isinstance(first[1], str) and not first[1]:
        begin = "<td></td>"  # a heading that is empty names nothing
    return begin + "".join(
        f'<td style="{style}"{_exact(cell)}>{text(number(cell))}</td>' for style, cell in rest
    )


def _head(style: str, name: str) -> str:
    broken = BREAKS.sub(r"\1<wbr>", text(name))  # long paths wrap between their parts
    return f'<th scope="col" style="{style}">{broken}</th>' if name else "<td></td>"


def _exact(cell: Cell) -> str:
    """Keep a number whole where it is shown with fewer digits."""
    return "" if isinstance(cell, str) or number(cell) == str(cell) else f' data-value="{cell!r}"'


def text(content: str) -> str:
    """Escape a text: of HTML, and characters that are not printed."""
    return escape(shown(content))

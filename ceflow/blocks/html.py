"""Blocks as an HTML fragment, for notebooks."""

import re
from collections.abc import Sequence
from html import escape

from ceflow.blocks.content import Note, ReportBlock, Table, number
from ceflow.blocks.placing import shown
from ceflow.blocks.svg import draw_svg

WARNING = "color: #9a6700"
NUMERIC = "text-align: right"
TEXT = "text-align: left"


def section(title: str, blocks: Sequence[ReportBlock]) -> str:
    """Draw blocks below a heading. All texts in them are escaped.

    >>> section("a < b", [Note("alpha = 3.41")])
    '<h4>a &lt; b</h4>\\n<p>alpha = 3.41</p>'
    """
    return "\n".join([f"<h4>{_text(title)}</h4>", *map(_block, blocks)])


def _block(block: ReportBlock) -> str:
    if isinstance(block, Note):
        style = f' style="{WARNING}"' if block.warning else ""
        return f"<p{style}>{'warning: ' if block.warning else ''}{_text(block.text)}</p>"
    if isinstance(block, Table):
        return _table(block)
    return re.sub(r"^.*?(?=<svg)", "", draw_svg(block), flags=re.DOTALL)  # less the head of a file


def _table(table: Table) -> str:
    wide = len(table.columns) > 2
    styles = [NUMERIC if wide and index else TEXT for index in range(len(table.columns))]
    head = _row(table.columns, styles, "th") if any(table.columns) else ""
    rows = "".join(_row([number(cell) for cell in row], styles, "td") for row in table.rows)
    return f"<table>{head}{rows}</table>"


def _row(cells: Sequence[str], styles: Sequence[str], tag: str) -> str:
    columns = zip(styles, cells, strict=True)
    inner = "".join(f'<{tag} style="{style}">{_text(cell)}</{tag}>' for style, cell in columns)
    return f"<tr>{inner}</tr>"


def _text(text: str) -> str:
    return escape(shown(text))

"""Arrangement of tables in the columns of a terminal, so that nothing in them is cut."""

import re
from collections.abc import Sequence
from dataclasses import replace
from textwrap import wrap

from rich.cells import cell_len

from ceflow.blocks import Table, number

GAP = 2
"""Spaces between two columns."""

NARROWEST = 12
"""Least width to which a column of sentences is narrowed, before the table is turned."""

HEAD_WIDTHS = (40, 28, 20, 14, 0)
"""Widths to which headings are broken in turn, at last to those of the cells below them."""

HEAD_PIECES = re.compile(r"(?:[^\s._/,=]|[.,](?=\d))+[\s._/,=]*|[\s._/,=]+")
"""The pieces into which a heading can be broken; the digits of a number stay together."""


def fitted(table: Table, width: int) -> list[Table]:
    r"""Arrange a table within `width` columns; its cells are texts, with line breaks.

    If it does not fit, headings are broken into lines, then sentences in cells, and at last the
    table is turned: each row becomes a column, in as many tables as are needed.

    >>> wide = Table(("run", "flow.train_loss", "flow.test_loss"), (("a", 0.5, 0.25),))
    >>> fitted(wide, 20)
    [Table(columns=('run', 'flow.\ntrain_\nloss', 'flow.\ntest_\nloss'),
           rows=(('a', '0.5', '0.25'),))]
    >>> fitted(wide, 16)
    [Table(columns=('run', 'a'), rows=(('flow.\ntrain_loss', '0.5'), ('flow.test_\nloss', '0.25')))]
    """
    texts = tuple(tuple(number(cell) for cell in row) for row in table.rows)
    whole = replace(table, rows=texts)
    if needed(whole) <= width:
        return [whole]
    for most in HEAD_WIDTHS:
        broken = _with_broken_heads(whole, most)
        if needed(broken) <= width:
            return [broken]
    narrowed = _with_broken_cells(_with_broken_heads(whole), width)
    if needed(narrowed) <= width:
        return [narrowed]
    return list(_turned(whole, width))


def needed(table: Table) -> int:
    """Return the number of terminal columns that a table of texts takes."""
    widths = _widths(table)
    return sum(widths) + GAP * (len(widths) - 1)


def _widths(table: Table) -> list[int]:
    lines = (table.columns, *table.rows)
    return [max(_width(str(line[index])) for line in lines) for index in range(len(table.columns))]


def _width(text: str) -> int:
    return max(map(cell_len, text.split("\n")))


def _with_broken_heads(table: Table, least: int = 0) -> Table:
    """Break headings into lines as wide as the cells below them, `least` at least, or as their
    longest piece.
    """
    below = _widths(replace(table, columns=("",) * len(table.columns)))
    columns = tuple(
        _broken(head, max(most, least)) for head, most in zip(table.columns, below, strict=True)
    )
    return replace(table, columns=columns)


def _broken(text: str, width: int) -> str:
    """Break a heading or a name after dots, underscores and the like."""
    pieces = HEAD_PIECES.findall(text)
    width = max([width, *(cell_len(piece.rstrip()) for piece in pieces)])
    lines = [""]
    for piece in pieces:
        if lines[-1] and cell_len(lines[-1] + piece.rstrip()) > width:
            lines.append("")
        lines[-1] += piece
    return "\n".join(line.rstrip() for line in lines)


def _with_broken_cells(table: Table, width: int) -> Table:
    """Break the sentences in the widest column until the table fits, or each has been tried."""
    for index in sorted(range(len(table.columns)), key=lambda i: -_widths(table)[i]):
        most = max(_widths(table)[index] - (needed(table) - width), NARROWEST)
        rows = tuple(
            (*row[:index], "\n".join(wrap(str(row[index]), most) or [""]), *row[index + 1 :])
            if " " in str(row[index])
            else row
            for row in table.rows
        )
        table = replace(table, rows=rows)
        if needed(table) <= width:
            break
    return table


def _turned(table: Table, width: int) -> Sequence[Table]:
    """Turn rows into columns, in as many tables as are needed."""
    heads, rows, tables = table.columns, list(table.rows), []
    while rows:
        count = next(
            (k for k in range(len(rows), 1, -1) if needed(_upright(heads, rows[:k])) <= width), 1
        )
        upright = _upright(heads, rows[:count])
        tables.append(upright if needed(upright) <= width else _squeezed(upright, width))
        rows = rows[count:]
    return tables


def _upright(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> Table:
    columns = (heads[0], *(str(row[0]) for row in rows))
    turned = tuple(
        (head, *(str(row[index]) for row in rows)) for index, head in enumerate(heads) if index
    )
    return _with_broken_heads(Table(columns, turned))


def _squeezed(table: Table, width: int) -> Table:
    """Break one row that is turned: names, then values, at any character if need be."""
    names = [str(row[0]) for row in table.rows]
    value = min(_widths(table)[1], max(width // 2, width - GAP - max(map(_width, names))))
    room = max(width - GAP - value, 1)
    rows = tuple(
        (_cut(_broken(name, room), room), _cut(str(row[1]), value))
        for name, row in zip(names, table.rows, strict=True)
    )
    return Table((_cut(table.columns[0], room), _cut(table.columns[1], value)), rows)


def _cut(text: str, width: int) -> str:
    """Break lines that are longer than `width` at spaces, or at any character."""
    lines = (wrap(line, max(width, 1)) or [""] for line in text.split("\n"))
    return "\n".join(line for several in lines for line in several)

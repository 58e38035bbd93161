"""Reading small CSV files that people write: every problem names its line."""

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ceflow.data.files import beside
from ceflow.spec import Fault, SpecError
from ceflow.spec.diagnostics import Place

DECIMAL_COMMA = re.compile(r"[+-]?[0-9]*,[0-9]+([eE][+-]?[0-9]+)?")
DECIMAL_POINT = re.compile(r"[+-]?[0-9]*\.[0-9]+([eE][+-]?[0-9]+)?")

LARGEST_FILE_BYTES = 2**20
"""Largest accepted size of a file, in bytes."""


@dataclass(frozen=True)
class Row:
    """A line of a CSV file: its number from 1, its text, and its cells by column."""

    file: Path
    line: int
    text: str
    cells: Mapping[str, str]
    separator: str = ","

    def wrong(self, what: str, column: str = "", help: str = "") -> SpecError:
        """Make the fault of this line, placed at one of its cells."""
        cell = self._written(self.cells.get(column, ""))
        start = len(self.text) - len(self.text.lstrip())
        if cell:
            before = list(self.cells).index(column)
            parts = self.text.split(self.separator)
            start = sum(len(part) + 1 for part in parts[:before])
            found = self.text.find(cell, start)  # after what quotes or blanks precede it
            start = found if found >= 0 else self.text.find(cell)
        place = Place(
            str(self.file), self.line, max(0, start) + 1, len(cell) or len(self.text), self.text
        )
        return SpecError(Fault("CE302", what, help=help, place=place))

    def _written(self, cell: str) -> str:
        """Return a cell as it stands in the file."""
        comma = cell.replace(".", ",")
        return comma if self.separator == ";" and comma in self.text else cell


@dataclass(frozen=True)
class Separated:
    """The content of a CSV file: the names of its columns, and its rows."""

    file: Path
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


def wrong(place: object, what: str, help: str) -> SpecError:
    """Make the fault of a file, or of a line of it that cannot be read as cells."""
    return SpecError(Fault("CE302", f"{place} {what}", help=help))


def read_separated(path: Path, help: str) -> Separated:
    """Read a CSV file in UTF-8 whose first line names its columns. Empty lines are skipped.

    If the first line has semicolons and no commas, cells are separated by semicolons, and the comma
    of a cell that is a decimal number becomes a point. Raises `SpecError` if such a file has
    numbers with points too, which may then be separators of thousands.

    `help` describes the file in every fault. Raises `SpecError` if there is no such file, it is
    larger than 1 MiB or not CSV, a column is named twice, or a line has another number of cells.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "errors.csv")
    ...     _ = path.write_text("network,error\\n8x64d, 3.65\\n")
    ...     found = read_separated(path, "a table has a line for each network")
    >>> found.columns, found.rows[0].line, dict(found.rows[0].cells)
    (('network', 'error'), 2, {'network': '8x64d', 'error': '3.65'})
    """
    texts = _lines(path, help)
    first = next((text for text in texts if text.strip()), "")
    separator = ";" if ";" in first and "," not in first else ","
    lines = _rows(path, texts, separator, help)
    _, _, head = next(lines, (1, "", []))
    for name in head:
        if head.count(name) > 1:
            raise wrong(path, f"names the column {name!r} twice", help)
    rows = tuple(_cut(path, head, lines, help))
    return Separated(path, tuple(head), tuple(_with_points(rows)) if separator == ";" else rows)


def _lines(path: Path, help: str) -> list[str]:
    if not path.is_file():
        raise SpecError(Fault("CE301", f"{path} is not a file", help=beside(path)))
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_FILE_BYTES + 1)
    except OSError as error:
        raise SpecError(Fault("CE301", f"{path} cannot be read: {error.strerror}")) from None
    if len(content) > LARGEST_FILE_BYTES:
        raise wrong(path, f"is larger than {LARGEST_FILE_BYTES >> 20} MiB", help)
    try:
        return content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError:
        raise wrong(path, "is not text in UTF-8", help) from None


def _with_points(rows: Sequence[Row]) -> Iterator[Row]:
    """Write the decimal numbers of a file that semicolons separate with points."""
    numbers = [(row, column, cell) for row in rows for column, cell in row.cells.items()]
    commas = any(DECIMAL_COMMA.fullmatch(cell) for _, _, cell in numbers)
    for row, column, cell in numbers:
        if commas and DECIMAL_POINT.fullmatch(cell):
            what = f"{cell!r} has a point, and other numbers of the file have decimal commas"
            raise row.wrong(what, column, "write all decimal numbers in one way")
    for row in rows:
        cells = {
            column: cell.replace(",", ".") if DECIMAL_COMMA.fullmatch(cell) else cell
            for column, cell in row.cells.items()
        }
        yield Row(row.file, row.line, row.text, cells, ";")


def _rows(
    path: Path, lines: list[str], separator: str, help: str
) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the lines that are not empty: number, text and cells."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                cells = next(csv.reader([line], delimiter=separator, strict=True))
            except csv.Error:
                raise wrong(f"{path}, line {number},", "is not valid CSV", help) from None
            yield number, line, [cell.strip() for cell in cells]


def _cut(
    path: Path, head: list[str], lines: Iterator[tuple[int, str, list[str]]], help: str
) -> Iterator[Row]:
    for number, text, cells in lines:
        if len(cells) != len(head):
            what = f"has {len(cells)} cells, the first line {len(head)}"
            if len(cells) > len(head) and DECIMAL_COMMA.search(text):
                what += ": separate cells by semicolons if numbers have decimal commas"
            raise wrong(f"{path}, line {number},", what, help)
        yield Row(path, number, text, dict(zip(head, cells, strict=True)))

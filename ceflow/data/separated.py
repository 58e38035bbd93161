"""Reading small CSV files that people write: every problem names its line."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ceflow.data.files import beside
from ceflow.spec import Fault, SpecError
from ceflow.spec.diagnostics import Place

LARGEST_FILE_BYTES = 2**20
"""Largest accepted size of a file, in bytes."""


@dataclass(frozen=True)
class Row:
    """A line of a CSV file: its number from 1, its text, and its cells by column."""

    file: Path
    line: int
    text: str
    cells: Mapping[str, str]

    def wrong(self, what: str, column: str = "", help: str = "") -> SpecError:
        """Make the fault of this line, placed at one of its cells."""
        cell = self.cells.get(column, "")
        start = len(self.text) - len(self.text.lstrip())
        if cell:
            before = list(self.cells).index(column)
            parts = self.text.split(",")
            start = sum(len(part) + 1 for part in parts[:before])
            found = self.text.find(cell, start)  # after what quotes or blanks precede it
            start = found if found >= 0 else self.text.find(cell)
        place = Place(
            str(self.file), self.line, max(0, start) + 1, len(cell) or len(self.text), self.text
        )
        return SpecError(Fault("CE302", what, help=help, place=place))


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
    lines = _rows(path, _lines(path, help), help)
    _, _, head = next(lines, (1, "", []))
    for name in head:
        if head.count(name) > 1:
            raise wrong(path, f"names the column {name!r} twice", help)
    return Separated(path, tuple(head), tuple(_cut(path, head, lines, help)))


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


def _rows(path: Path, lines: list[str], help: str) -> Iterator[tuple[int, str, list[str]]]:
    """Yield the lines that are not empty: number, text and cells."""
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                cells = next(csv.reader([line], strict=True))
            except csv.Error:
                raise wrong(f"{path}, line {number},", "is not valid CSV", help) from None
            yield number, line, [cell.strip() for cell in cells]


def _cut(
    path: Path, head: list[str], lines: Iterator[tuple[int, str, list[str]]], help: str
) -> Iterator[Row]:
    for number, text, cells in lines:
        if len(cells) != len(head):
            what = f"has {len(cells)} cells, the first line {len(head)}"
            raise wrong(f"{path}, line {number},", what, help)
        yield Row(path, number, text, dict(zip(head, cells, strict=True)))

"""Tables of numbers with a column of labels or targets: CSV with a header, or Parquet."""

import csv
import io
import math
import sys
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ceflow.data.checks import Part, Survey
from ceflow.data.dataset import data_error
from ceflow.data.files import content, find, remembered, status
from ceflow.data.stored import Contents, Held, Records
from ceflow.spec import DataTable
from ceflow.spec.suggest import nearest

BLOCK_ROWS = 4096
"""Rows that are parsed at a time."""

SEPARATORS = ("\t", ";", ",")
"""Characters between columns; the first of them that the header has is that of the file."""

EXACT = 2**53
"""Whole numbers from here on may be rounded in float64."""

MOST_NAMES = 10
"""Most names of columns in a message."""

FLOAT64 = "<f8" if sys.byteorder == "little" else ">f8"

BAD_NUMBER = "name the columns of numbers in data.columns, or leave out or fill in such rows"
"""What to do about a cell of an input that is no number."""


class Columns(NamedTuple):
    """The columns of a table that are used."""

    inputs: tuple[str, ...]
    label: str
    raw: bool
    """Whether the label is a number that is the target."""


class Row(NamedTuple):
    """The cells of a row that are used: text, or the values of a Parquet file."""

    number: int
    """Its line in the file, or its place among the rows from 1."""
    inputs: list[Any]
    label: Any


class Found(NamedTuple):
    """This is what a pass over a table finds: the label of each row, which stays in memory."""

    names: dict[str, int]
    """Code of each label, in the order in which they occur; none if labels are numbers."""
    codes: array
    """The code of the label of each row, or the number that it is."""


def survey(spec: DataTable, folder: Path) -> Survey:
    path = find(spec, folder)
    columns = _columns(spec, path)
    names = _in_order(_found(path, columns).names)
    parts, files = [_part(spec, path, columns, names)], [path]
    if spec.test_path is not None and spec.test != 0:
        files.append(find(spec, folder, "test_path"))
        _require(_names_of(files[1]), columns, files[1])
        parts.append(_part(spec, files[1], columns, names))
    return Survey(
        str(path),
        *parts,
        names=None if columns.raw else names,
        cut=spec.test_path is None,
        files=files,
    )


def opened(spec: DataTable, folder: Path, part: str) -> Contents:
    import numpy as np

    train = find(spec, folder)
    columns = _columns(spec, train)
    path = train if part == "train" else find(spec, folder, "test_path")
    found = _found(path, columns)
    rows = Records(
        path,
        len(found.codes),
        8 * len(columns.inputs),
        lambda: _blocks(path, columns),
        type=FLOAT64,
    )
    if columns.raw:
        return Contents(rows, y=Held(np.array(found.codes)[:, None]))
    places = _places(found, _in_order(_found(train, columns).names))
    return Contents(rows, lambda: np.array(places)[np.array(found.codes)])


def _part(spec: DataTable, path: Path, columns: Columns, names: Sequence[str]) -> Part:
    found = _found(path, columns)
    count = len(found.codes)
    unknown = [name for name in found.names if name not in names]
    if unknown and spec.classes is None:
        message = f"{path} has the label {unknown[0]!r}, which no training example has"
        help = "leave out such test examples, or name the classes to keep in data.classes"
        raise data_error("CE302", message, "test_path", help)
    places = _places(found, names)

    def labels() -> Counter[int]:
        counts = Counter(found.codes)
        return Counter({p: counts[code] for code, p in enumerate(places) if p >= 0})

    shapes = (count, len(columns.inputs)), (count,)
    return Part("the inputs", columns.label, *shapes, None if columns.raw else labels)


def _places(found: Found, names: Sequence[str]) -> list[int]:
    """Return the class of each code, or -1."""
    place = {name: at for at, name in enumerate(names)}
    return [place.get(name, -1) for name in found.names]


def _in_order(names: dict[str, int]) -> list[str]:
    """Sort labels: by size if all are whole numbers, otherwise as text."""
    if all(name.removeprefix("-").isdecimal() for name in names):
        return sorted(names, key=lambda name: (int(name), name))
    return sorted(names)


def _columns(spec: DataTable, path: Path) -> Columns:
    """Find the columns that are used, and check that the table has them."""
    raw = spec.targets == "raw"
    if raw and spec.classes is not None:
        message = "targets that are numbers have no classes"
        raise data_error("CE202", message, "classes", "leave classes out")
    if spec.columns is not None and spec.label in spec.columns:
        message = f"the label {spec.label!r} is among the inputs"
        raise data_error("CE202", message, "columns", f"leave {spec.label!r} out")
    names = _names_of(path)
    rest = tuple(name for name in names if name != spec.label)
    columns = Columns(tuple(spec.columns or rest), spec.label, raw)
    if not columns.inputs:
        raise data_error("CE302", f"{path} has no column besides {spec.label!r}", help="add inputs")
    if "" in columns.inputs:
        message = (
            f"column {names.index('') + 1} of {path} has no name, as an index of rows has none"
        )
        raise data_error("CE302", message, "columns", "name the inputs in data.columns")
    _require(names, columns, path)
    return columns


def _require(names: Sequence[str], columns: Columns, path: Path) -> None:
    """Raise if a table lacks a column, or has it twice."""
    for name in (columns.label, *columns.inputs):
        key = "label" if name == columns.label else "columns"
        if name not in names:
            near, more = nearest(name, names), len(names) - MOST_NAMES
            there = ", ".join(names[:MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
            help = f"did you mean {near!r}?" if near else f"its columns are {there}"
            raise data_error("CE302", f"{path} has no column {name!r}", key, help)
        if names.count(name) > 1:
            message = f"{path} has {names.count(name)} columns {name!r}"
            raise data_error("CE302", message, key, "give each a name of its own")


# Rows as numbers and labels.


@remembered
def _found(path: Path, columns: Columns) -> Found:
    """Check every number of a table, and count its labels."""
    names: dict[str, int] = {}
    codes = array("d" if columns.raw else "q")
    for row in _rows(path, columns):
        _numbers(path, columns, row)
        if columns.raw:
            codes.append(_number(path, columns.label, row.number, row.label))
        else:
            codes.append(names.setdefault(_label(path, columns, row), len(names)))
    return Found(names, codes)


def _blocks(path: Path, columns: Columns) -> Iterator[bytes]:
    """Read the inputs of all rows as float64."""
    rows = _rows(path, columns)
    while some := list(islice(rows, BLOCK_ROWS)):
        block = array("d")
        for row in some:
            block.extend(_numbers(path, columns, row))
        yield block.tobytes()


def _numbers(path: Path, columns: Columns, row: Row) -> list[float]:
    """Convert the inputs of a row, quickly if nothing is wrong with them."""
    try:
        numbers = list(map(float, row.inputs))
    except (TypeError, ValueError, OverflowError):
        numbers = [math.nan]
    plain = math.isfinite(sum(numbers)) and max(map(abs, numbers)) < EXACT
    if plain and not any(type(cell) is str and "_" in cell for cell in row.inputs):
        return numbers
    pairs = zip(columns.inputs, row.inputs, strict=True)
    return [_number(path, name, row.number, cell) for name, cell in pairs]


def _number(path: Path, name: str, row: int, cell: Any) -> float:
    """Convert a cell. Raises `SpecError` if it is no finite number, or would be rounded."""
    where = f"the column {name!r} in row {row} of {path}"
    text = cell.strip() if isinstance(cell, str) else cell
    if text is None or text == "":
        raise data_error("CE302", f"{where} is empty", help=BAD_NUMBER)
    try:
        number = math.nan if isinstance(text, str) and "_" in text else float(text)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise data_error(
            "CE302", f"{where} holds {str(text)[:40]!r}, not a number", help=BAD_NUMBER
        )
    whole = isinstance(text, int) or (isinstance(text, str) and text.lstrip("+-").isdecimal())
    if abs(number) >= EXACT and whole and int(text) != number:
        message = f"{where} holds a whole number beyond 2^53, which would be rounded"
        raise data_error("CE302", message, help="subtract a common offset")
    return number


def _label(path: Path, columns: Columns, row: Row) -> str:
    """Return the label of a row; whole numbers are spelt alike, as 3 for 3.0, but 03 is a name."""
    text = "" if row.label is None else str(row.label).strip()
    if text.isdecimal() and text[0] == "0" and len(text) > 1:
        return text
    try:
        number = float(text)
    except ValueError:
        number = 0.0 if text else math.nan
    else:
        if number.is_integer() and abs(number) < EXACT:
            return str(int(number))
        number = math.nan
    if math.isnan(number):
        what = f"holds {text[:40]!r}" if text else "is empty"
        message = f"the label {columns.label!r} in row {row.number} of {path} {what}"
        help = 'a label is a name or a whole number; use targets = "raw" for numbers to learn'
        raise data_error("CE302", message, "label" if not text else "targets", help)
    return text


# Both formats.


def _is_parquet(path: Path) -> bool:
    return path.suffix == ".parquet"


def _rows(path: Path, columns: Columns) -> Iterator[Row]:
    read = _parquet_rows if _is_parquet(path) else _csv_rows
    return read(path, columns)


@remembered
def _names_of(path: Path) -> list[str]:
    """Read the names of the columns."""
    if _is_parquet(path):
        with _parquet(path) as file:
            return list(file.schema_arrow.names)
    with _csv(path) as (header, _):
        return header


@contextmanager
def _csv(path: Path) -> Iterator[tuple[list[str], Any]]:
    """Open a file of text, and read its header."""
    with content(path) as stream, io.TextIOWrapper(stream, "utf-8-sig", newline="") as text:
        reader = None
        try:
            first = text.readline()
            separator = next((each for each in SEPARATORS if each in first), ",")
            header = [name.strip() for name in next(csv.reader([first], delimiter=separator), [])]
            if not any(header):
                message = f"{path} does not begin with the names of its columns"
                raise data_error("CE302", message, help="write them in its first line")
            reader = csv.reader(text, delimiter=separator, strict=True)
            yield header, reader
        except UnicodeDecodeError:
            message = f"{path} is not text in UTF-8"
            raise data_error("CE302", message, help="save the table as CSV in UTF-8") from None
        except csv.Error as error:
            line = 1 + (reader.line_num if reader else 0)
            message = f"line {line} of {path} is not CSV: {error}"
            raise data_error("CE302", message, help="close every quote that is open") from None


def _csv_rows(path: Path, columns: Columns) -> Iterator[Row]:
    with _csv(path) as (header, reader):
        places = [header.index(name) for name in columns.inputs]
        label = header.index(columns.label)
        for cells in reader:
            if len(cells) != len(header) and cells:
                message = f"row {reader.line_num + 1} of {path} has {len(cells)} cells"
                help = (
                    f"its header names {len(header)} columns; fetch the file again if it ends there"
                )
                raise data_error("CE302", message, help=help)
            if cells:
                inputs = [cells[place] for place in places]
                yield Row(reader.line_num + 1, inputs, cells[label])


@contextmanager
def _parquet(path: Path) -> Iterator[Any]:
    """Open a Parquet file."""
    status(path)
    try:
        import pyarrow as pa  # pyright: ignore[reportMissingImports]
        from pyarrow import parquet  # pyright: ignore[reportMissingImports]
    except ImportError:
        message = f"{path} is a Parquet file, which pyarrow reads, and pyarrow is not installed"
        help = 'run pip install "ceflow[parquet]", or save the table as CSV'
        raise data_error("CE301", message, help=help) from None
    try:
        with parquet.ParquetFile(path) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        why = str(error).split(".")[0].split("\n")[0]
        message = f"{path} is not a sound Parquet file: {why}"
        raise data_error("CE302", message, help="fetch or write the file again") from None


def _parquet_rows(path: Path, columns: Columns) -> Iterator[Row]:
    used = [*columns.inputs, columns.label]
    with _parquet(path) as file:
        _require_numbers(path, columns, file.schema_arrow)
        number = 0
        for batch in file.iter_batches(BLOCK_ROWS, columns=used):
            values = [batch.column(name).to_pylist() for name in used]
            for *inputs, label in zip(*values, strict=True):
                number += 1
                yield Row(number, inputs, label)


def _require_numbers(path: Path, columns: Columns, schema: Any) -> None:
    """Raise if a column of inputs, or of raw targets, has a type other than numbers."""
    from pyarrow import types  # pyright: ignore[reportMissingImports]

    for name in (*columns.inputs, *([columns.label] if columns.raw else [])):
        kind = schema.field(name).type
        if not (types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)):
            message = f"the column {name!r} of {path} holds {kind}, not numbers"
            raise data_error("CE302", message, help=BAD_NUMBER)

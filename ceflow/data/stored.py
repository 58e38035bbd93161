"""Rows of numbers that stay outside memory, and are read by their indices.

A source says where the rows of its inputs lie; `load` and `stream` read those that they need.
"""

import tempfile
import threading
import weakref
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from ceflow.data.dataset import data_error
from ceflow.data.files import BLOCK_BYTES, content, is_packed

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int, Num

    Rows = Int[np.ndarray, " n"]
    Numbers = Num[np.ndarray, "n width"]


class Stored(ABC):
    """Rows of numbers, read by their indices; memory is taken only by those that are read."""

    @abstractmethod
    def at(self, rows: "Rows") -> "Numbers":
        """Read the rows with these indices, in this order."""

    def ascending(self, rows: "Rows") -> "Numbers":
        """Read rows by their indices, which ascend: what is packed need not be unpacked to disk."""
        return self.at(rows)


class Contents(NamedTuple):
    """One part of a source: its inputs, and a label of each or its targets."""

    x: Stored
    labels: "Callable[[], Int[np.ndarray, ' n']] | None" = None
    """Reads the label of every example; None if the targets are not labels."""
    y: Stored | None = None
    """The targets, if they are not labels."""
    unit: float = 1.0
    """The number of x that stands for 1: 255 for pixels."""


@dataclass(frozen=True, eq=False)
class Held(Stored):
    """Rows that are in memory."""

    array: "Numbers"

    def at(self, rows: "Rows") -> "Numbers":
        return self.array[rows]


@dataclass(frozen=True, eq=False)
class Records(Stored):
    """Rows of equal length that follow each other in a file.

    Rows of a plain file are read where they lie. What is packed is unpacked once, when rows are
    first asked for out of order, into a temporary file without a name.
    """

    path: Path
    count: int
    width: int
    """Bytes per row."""
    blocks: Callable[[], Iterator[bytes]]
    """Reads all rows in turn, in blocks of whole rows."""
    start: int | None = None
    """Offset of the first row in the file; None if the file is packed or is text."""
    skip: int = 0
    """Bytes at the start of each row that do not belong to its numbers."""
    type: str = "|u1"
    """NumPy's type code of the numbers."""
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def at(self, rows: "Rows") -> "Numbers":
        import numpy as np

        file, start = self._file
        found = np.empty((len(rows), self.width), np.uint8)
        ends = [*np.flatnonzero(np.diff(rows) != 1) + 1, len(rows)]
        first = 0
        for end in ends if len(rows) else []:
            with self._lock:
                file.seek(start + int(rows[first]) * self.width)
                got = _fill(file, found[first:end].data.cast("B"))
            if got < (end - first) * self.width:
                raise _ended(self.path, int(rows[first]) + got // self.width, self.count)
            first = end
        return self._numbers(found)

    def ascending(self, rows: "Rows") -> "Numbers":
        import numpy as np

        if self.start is not None:
            return self.at(rows)
        found = np.empty((len(rows), self.width), np.uint8)
        begin = done = 0
        for read in self.blocks() if len(rows) else ():
            block = np.frombuffer(read, np.uint8).reshape(-1, self.width)
            here = rows[done : np.searchsorted(rows, begin + len(block))] - begin
            found[done : done + len(here)] = block[here]
            begin, done = begin + len(block), done + len(here)
            if done == len(rows):
                break
        if done < len(rows):
            raise _ended(self.path, begin, self.count)
        return self._numbers(found)

    def _numbers(self, found: "np.ndarray") -> "Numbers":
        return found[:, self.skip :].view(self.type)

    @cached_property
    def _file(self) -> tuple[IO[bytes], int]:
        """The open file with the rows, and the offset of the first."""
        if self.start is None:
            file = unpacked(self.path, self.blocks(), self.count * self.width)
        else:
            try:
                file = self.path.open("rb", buffering=0)
            except OSError as error:
                raise data_error("CE301", f"{self.path} cannot be read: {error.strerror}") from None
        weakref.finalize(self, file.close)
        return file, self.start or 0


@dataclass(frozen=True, eq=False)
class Chain(Stored):
    """The rows of several files, one after the other."""

    links: Sequence[Stored]
    counts: Sequence[int]
    """Number of rows of each."""

    def at(self, rows: "Rows") -> "Numbers":
        return self._read(rows, lambda link, here: link.at(here))

    def ascending(self, rows: "Rows") -> "Numbers":
        return self._read(rows, lambda link, here: link.ascending(here))

    def _read(self, rows: "Rows", read: "Callable[[Stored, Rows], Numbers]") -> "Numbers":
        import numpy as np

        starts = np.array([0, *accumulate(self.counts)])
        links = np.searchsorted(starts, rows, side="right") - 1
        found = None
        for number in np.unique(links) if len(rows) else [0]:
            here = np.flatnonzero(links == number)
            part = read(self.links[number], rows[here] - starts[number])
            if found is None:
                found = np.empty((len(rows), part.shape[1]), part.dtype)
            found[here] = part
        assert found is not None
        return found


def file_records(path: Path, count: int, width: int, start: int = 0, skip: int = 0) -> Records:
    """Return the rows of a file of bytes, plain or gzipped, that begin at `start`."""

    def read() -> Iterator[bytes]:
        with content(path) as stream:
            stream.seek(start)
            yield from whole_rows(stream, count, width)

    return Records(path, count, width, read, None if is_packed(path) else start, skip)


def whole_rows(stream: IO[bytes], count: int, width: int) -> Iterator[bytes]:
    """Read rows of `width` bytes in blocks; no row is split, and an unfinished one is left out."""
    most = max(1, BLOCK_BYTES // width)
    while count > 0 and (block := stream.read(min(most, count) * width)):
        rows = len(block) // width
        count -= rows
        yield block[: rows * width]
        if len(block) % width:
            return


def unpacked(path: Path, pieces: Iterator[bytes], size: int) -> IO[bytes]:
    """Write pieces of a file's content, `size` bytes in all, to a temporary file without a name.

    Raises `SpecError` if there is no room for them.
    """
    try:
        file = tempfile.TemporaryFile()  # noqa: SIM115 (its last reader closes it)
        for piece in pieces:
            file.write(piece)
        file.flush()
    except OSError as error:
        where = tempfile.gettempdir()
        message = f"{path} cannot be unpacked into {where}: {error.strerror}"
        help = f"set TMPDIR to a folder with room for {size / 1e9:,.1f} GB, or unpack it yourself"
        raise data_error("CE301", message, help=help) from None
    if file.tell() < size:
        raise data_error("CE302", f"{path} ends early: {file.tell()} bytes, and {size} expected")
    return file


def _fill(file: IO[bytes], into: memoryview) -> int:
    """Fill a buffer from a file, and return how many bytes there were."""
    done = 0
    while done < len(into) and (got := file.readinto(into[done:])):  # pyright: ignore
        done += got
    return done


def _ended(path: Path, row: int, count: int) -> Exception:
    message = f"{path} ends early: it has {row} of {count} examples"
    return data_error("CE302", message, help="fetch the file again; it has changed since its check")

"""Zip archives of arrays: finding members, and reading only the rows that are needed."""

import gzip
import math
import os
import struct
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, TYPE_CHECKING, BinaryIO, NamedTuple

from ceflow.data.checks import LARGEST_LABEL
from ceflow.data.dataset import data_error
from ceflow.data.files import content, remembered
from ceflow.data.npy import Header, PickledError, UnsoundError, first_rows, numbers_in, read_header
from ceflow.data.stored import Records, Stored, unpacked, whole_rows
from ceflow.spec import SpecError

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int

    from ceflow.data.stored import Numbers, Rows

LARGEST_DIRECTORY_BYTES = 10**7
"""Largest accepted size in bytes of an archive's directory, enough for some 100,000 members."""

END_OF_DIRECTORY, ZIP64_END_OF_DIRECTORY = b"PK\x05\x06", b"PK\x06\x06"
"""Signatures of the two records that state the size of the archive's directory."""

COMPRESSION_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Compression methods that NumPy uses; others may need gigabytes to decompress."""


class Array(NamedTuple):
    """An array in an archive."""

    path: Path
    member: str
    """Name of the member in the archive, with its file extension."""
    header: Header


@remembered
def arrays(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """Find the arrays with these names in an archive, as far as it has them. Reads headers only."""
    by_name = {}
    with _opened(path) as archive:
        every = archive.namelist()
        for name in names:
            members = [member for member in every if member in (f"{name}.npy", name)]
            if len(members) > 1:
                raise _unsound(path, f"{name} is there twice")
            for member in members:
                with _member(path, archive, member, name) as stream:
                    header = read_header(stream, archive.getinfo(member).file_size)
                by_name[name] = Array(path, member, header)
    return by_name


@remembered
def names_in(path: Path) -> list[str]:
    """List the names of the arrays in an archive."""
    with _opened(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def rows_of_array(array: Array, count: int) -> Iterator[bytes]:
    """Read the first `count` rows of an array in blocks of bytes, in storage order."""
    with _numbers_of(array) as stream:
        yield from first_rows(stream, array.header, count)


def label_counts(array: Array) -> Counter[int]:
    """Count the examples of each label; labels are integers of any type, or whole floats."""
    name = array.member.removesuffix(".npy")
    counts: Counter[float] = Counter()
    for block in rows_of_array(array, array.header.shape[0]):
        counts.update(numbers_in(block, array.header))
        if len(counts) > 2 * LARGEST_LABEL:
            break  # too many to be classes: the checks report the largest
    for number in counts:
        if not math.isfinite(number) or number % 1:
            message = f"{name} of {array.path} must hold one integer label per example, not"
            help = 'use targets = "raw"'
            raise data_error("CE302", f"{message} {number}", "targets", help)
    return Counter({int(number): count for number, count in counts.items()})


def labels_in(y: Stored, count: int) -> "Int[np.ndarray, ' n']":
    """Read the labels of `count` examples, one each."""
    import numpy as np

    return y.ascending(np.arange(count))[:, 0].astype(int)


def stored(array: Array) -> Stored:
    """Return the rows of an array, which are flattened."""
    header = array.header
    if header.fortran:
        return Columns(array)
    count, *rest = header.shape
    width = math.prod(rest) * header.itemsize

    def read() -> Iterator[bytes]:
        with _numbers_of(array) as stream:
            yield from whole_rows(stream, count, width)

    return Records(array.path, count, width, read, _start(array), type=header.type)


@dataclass(frozen=True, eq=False)
class Columns(Stored):
    """The rows of an array in Fortran order, whose columns follow each other in the file."""

    array: Array

    def at(self, rows: "Rows") -> "Numbers":
        return self._mapped[rows].reshape(len(rows), math.prod(self.array.header.shape[1:]))

    def ascending(self, rows: "Rows") -> "Numbers":
        import numpy as np

        header, at = self.array.header, 0
        shape = (int(rows.max(initial=-1)) + 1, *header.shape[1:])
        content = bytearray(header.itemsize * math.prod(shape))
        for block in rows_of_array(self.array, shape[0]):
            content[at : at + len(block)] = block
            at += len(block)
        found = np.frombuffer(content, header.type).reshape(shape, order="F")[rows]
        return found.reshape(len(rows), math.prod(header.shape[1:]))

    @cached_property
    def _mapped(self) -> "np.ndarray":
        """The whole array, in a temporary file."""
        import numpy as np

        header = self.array.header
        size = header.itemsize * math.prod(header.shape)
        pieces = rows_of_array(self.array, header.shape[0])
        with unpacked(self.array.path, pieces, size) as file:
            return np.memmap(file, header.type, "r", 0, header.shape, "F")  # holds it open


@contextmanager
def _numbers_of(array: Array) -> Iterator[IO[bytes]]:
    """Open an array at its first number."""
    name = array.member.removesuffix(".npy")
    with (
        _opened(array.path) as archive,
        _member(array.path, archive, array.member, name) as stream,
    ):
        stream.seek(array.header.start)
        yield stream


def _start(array: Array) -> int | None:
    """Return the offset in the archive of an array's first number; None if it is packed."""
    with _opened(array.path) as archive:
        about = archive.getinfo(array.member)
    if about.compress_type != zipfile.ZIP_STORED:
        return None
    with array.path.open("rb") as file:
        file.seek(about.header_offset + 26)  # the lengths of the two fields after 30 bytes
        name, extra = struct.unpack("<HH", file.read(4))
    return about.header_offset + 30 + name + extra + array.header.start


@contextmanager
def _member(path: Path, archive: zipfile.ZipFile, member: str, name: str) -> Iterator[IO[bytes]]:
    about = archive.getinfo(member)
    try:
        if about.flag_bits & 1:
            raise UnsoundError("is encrypted")
        if about.compress_type not in COMPRESSION_METHODS:
            raise UnsoundError("is packed in a way that numpy.savez does not use")
        with archive.open(about) as stream:
            yield stream
    except PickledError:
        message = f"the array {name!r} of {path} holds Python objects: a pickle, which is never"
        raise data_error("CE303", f"{message} loaded", help="save arrays of numbers") from None
    except UnsoundError as error:
        raise _unsound(path, f"{name} {error}") from None


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    with content(path) as stream:
        try:
            if isinstance(stream, gzip.GzipFile):
                raise _unsound(path, "it is gzipped", "unpack it first")
            if stream.read(6) == b"\x93NUMPY":
                help = "save x and y together, by numpy.savez"
                raise _unsound(path, "it is a single array", help)
            if _directory_size(stream) > LARGEST_DIRECTORY_BYTES:
                raise _unsound(path, "it has too many members")
            with zipfile.ZipFile(stream) as archive:
                yield archive
        except (SpecError, MemoryError, GeneratorExit):
            raise
        except Exception:  # a damaged archive can raise almost anything in zipfile or zlib
            help = "write it by numpy.savez, or fetch it again"
            raise _unsound(path, "it is cut off, damaged, or of another format", help) from None


def _unsound(path: Path, what: str, help: str = "") -> SpecError:
    return data_error("CE302", f"{path} is not a sound .npz archive: {what}", help=help)


def _directory_size(stream: BinaryIO) -> int:
    """Return the size in bytes that the archive states for its directory.

    zipfile reads that many bytes at once.
    """
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - (1 << 16) - 100))
    tail = stream.read()
    stream.seek(0)
    at = tail.rfind(END_OF_DIRECTORY)
    claimed = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if claimed < 0xFFFFFFFF:
        return claimed
    at = tail.rfind(ZIP64_END_OF_DIRECTORY)
    return int.from_bytes(tail[at + 40 : at + 48], "little") if at >= 0 else claimed

"""Zip archives of arrays: finding members, and reading no more of them than is asked for."""

import gzip
import os
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

from ceflow.data.dataset import data_error
from ceflow.data.files import content, remembered
from ceflow.data.npy import Header, PickledError, UnsoundError, first_rows, read_header
from ceflow.spec import SpecError

LARGEST_DIRECTORY = 10**7
"""Bytes of the table of an archive's members: some 100,000 of them."""

END, LONG_END = b"PK\x05\x06", b"PK\x06\x06"
"""What the two kinds of record begin with that say how large that table is."""

PACKINGS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
"""Those of NumPy; the others may take gigabytes to unpack."""


class Array(NamedTuple):
    """One array of an archive."""

    path: Path
    member: str
    """What it is called in the archive, with its ending."""
    header: Header


@remembered
def arrays(path: Path, names: Sequence[str]) -> dict[str, Array]:
    """Find those of the arrays so named that an archive has; the headers alone are read."""
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
    """List what the arrays of an archive are called."""
    with _opened(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist()]


def rows_of_array(array: Array, count: int) -> Iterator[bytes]:
    """Read the numbers of an array's first rows, as they are stored, in blocks."""
    name = array.member.removesuffix(".npy")
    with (
        _opened(array.path) as archive,
        _member(array.path, archive, array.member, name) as stream,
    ):
        stream.seek(array.header.start)
        yield from first_rows(stream, array.header, count)


@contextmanager
def _member(path: Path, archive: zipfile.ZipFile, member: str, name: str) -> Iterator[IO[bytes]]:
    about = archive.getinfo(member)
    try:
        if about.flag_bits & 1:
            raise UnsoundError("is encrypted")
        if about.compress_type not in PACKINGS:
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
            if _directory_size(stream) > LARGEST_DIRECTORY:
                raise _unsound(path, "it has too many members")
            with zipfile.ZipFile(stream) as archive:
                yield archive
        except (SpecError, MemoryError, GeneratorExit):
            raise
        except Exception:  # whatever a damaged archive makes zipfile or zlib stumble over
            help = "write it by numpy.savez, or fetch it again"
            raise _unsound(path, "it is cut off, damaged, or of another format", help) from None


def _unsound(path: Path, what: str, help: str = "") -> SpecError:
    return data_error("CE302", f"{path} is not a sound .npz archive: {what}", help=help)


def _directory_size(stream: BinaryIO) -> int:
    """Count the bytes that the table of members claims; zipfile reads as many at once."""
    size = stream.seek(0, os.SEEK_END)
    stream.seek(max(0, size - (1 << 16) - 100))
    tail = stream.read()
    stream.seek(0)
    at = tail.rfind(END)
    claimed = int.from_bytes(tail[at + 12 : at + 16], "little") if at >= 0 else 0
    if claimed < 0xFFFFFFFF:
        return claimed
    at = tail.rfind(LONG_END)
    return int.from_bytes(tail[at + 40 : at + 48], "little") if at >= 0 else claimed

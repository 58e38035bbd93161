"""Zip archives of arrays: finding members, and reading only the rows that are needed."""

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

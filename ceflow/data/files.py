"""Finding and opening data files. Every problem is reported as a `SpecError`."""

import gzip
import hashlib
import os
import stat
import time
import zlib
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import IO, BinaryIO, Concatenate, ParamSpec, TypeVar, cast

from ceflow.data.dataset import data_error
from ceflow.spec import Files
from ceflow.spec.suggest import nearest

CHECKSUM_FILES = {"SHA256SUMS": "sha256", "MD5SUMS": "md5"}
"""Names of files of checksums, as sha256sum and md5sum write them, with the algorithm of each."""

BLOCK_BYTES = 1 << 20
"""Bytes read at a time, whatever size a file states."""

UNSETTLED_SECONDS = 2.0
"""Seconds after a change in which another change might leave the modification time the same."""

REFUSED_TYPES = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}
"""Path types that are refused, with their names: reading one could block or never end."""

MOST_NAMES = 8
"""Maximum number of names of a folder's contents in a message."""

Rest = ParamSpec("Rest")
Found = TypeVar("Found")


def find(spec: Files, folder: Path, key: str = "path") -> Path:
    """Find the path that a key of a source names in the document's folder, else in the folder named
    by CEFLOW_DATA.
    """
    path = getattr(spec, key)
    places = [folder / path]
    if root := os.environ.get("CEFLOW_DATA"):
        places.append(Path(root) / path)
    for place in places:
        if os.path.exists(place):  # unlike Path.exists, False for an invalid name
            return place
    looked = " or ".join(str(place.absolute()) for place in places)
    help = f"set [data] {key}, or CEFLOW_DATA to the folder that holds it"
    if spec.changes(key):
        help = beside(*places) or help
    raise data_error("CE301", f"no data at {looked}", key, help)


def beside(*missing: Path) -> str:
    """Say what is in the folders where files or folders are missing; a name that is nearly the
    same is enough.
    """
    for path in missing:
        if near := nearest(path.name, _names_in(path.parent)):
            return f"did you mean {path.with_name(near)}?"
    return "; ".join(dict.fromkeys(contents(path.parent) for path in missing))


def contents(folder: Path) -> str:
    """Say in a sentence what is in a folder, or that there is no such folder.

    >>> contents(Path("/nowhere"))
    'there is no folder /nowhere'
    """
    folder = folder.absolute()
    names = _names_in(folder)
    if os.path.isfile(folder):
        return f"{folder} is a file, not a folder"
    if not os.path.isdir(folder):
        return f"there is no folder {folder}"
    if not names:
        return f"{folder} is empty"
    more = len(names) - MOST_NAMES
    rest = f" and {more} more" if more > 0 else ""
    return f"{folder} holds {', '.join(names[:MOST_NAMES])}{rest}"


def _names_in(folder: Path) -> list[str]:
    """List the names in a folder that are not hidden; none if it cannot be read."""
    with suppress(OSError, ValueError):
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    return []


def status(path: Path) -> os.stat_result:
    """Return `os.stat` of a regular file, or of the regular file that a link points to.

    Raises `SpecError` if there is no such file, and for folders, pipes, sockets and devices.
    """
    try:
        facts = os.stat(path)
    except FileNotFoundError:
        raise data_error("CE301", f"no file {path}") from None
    except OSError as error:
        raise data_error("CE301", f"{path} cannot be read: {error.strerror}") from None
    for is_one, kind in REFUSED_TYPES.items():
        if is_one(facts.st_mode):
            help = "name a regular file, or a link to one"
            raise data_error("CE301", f"{path} cannot be read: it is {kind}, not a file", help=help)
    return facts


@contextmanager
def content(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file as a stream of its content, decompressed if it is gzipped.

    Raises `SpecError` if the file cannot be read, is damaged, or is a pickle.
    """
    status(path)
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream = cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file
            refuse_pickle(path, stream.read(2))
            stream.seek(0)
            yield stream
    except EOFError:
        raise data_error("CE302", f"{path} is damaged: its packed content ends early") from None
    except (zlib.error, gzip.BadGzipFile):
        message = f"{path} is damaged: its packed content cannot be unpacked"
        raise data_error("CE302", message, help="fetch the file again") from None
    except OSError as error:
        raise data_error("CE301", f"{path} cannot be read: {error.strerror}") from None


def read_start(path: Path, length: int) -> bytes:
    """Read the first `length` bytes of a file's content, or all of a shorter one."""
    with content(path) as stream:
        return stream.read(length)


def is_packed(path: Path) -> bool:
    """Tell whether a file is gzipped."""
    with content(path) as stream:
        return isinstance(stream, gzip.GzipFile)


def blocks(stream: IO[bytes], length: int) -> Iterator[bytes]:
    """Read the next `length` bytes of a stream in blocks; stop early if the stream ends."""
    while length > 0 and (block := stream.read(min(BLOCK_BYTES, length))):
        length -= len(block)
        yield block


def refuse_pickle(path: Path, start: bytes) -> None:
    """Raise `SpecError` if a file is a Python pickle: loading one would run any code in it."""
    if start[:1] == b"\x80" and start[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        message = f"{path} is a Python pickle, which is never loaded: it could run any code"
        help = "give the binary version of the data, or an .npz of plain arrays"
        raise data_error("CE303", message, help=help)


def remembered(
    function: Callable[Concatenate[Path, Rest], Found],
) -> Callable[Concatenate[Path, Rest], Found]:
    """Cache a function of a file; call it again only if the file has changed.

    A document is compiled several times before it gives a result, and a sweep's hundreds of times.
    """
    known: dict[Hashable, Found] = {}

    @wraps(function)
    def call(path: Path, *rest: Rest.args, **named: Rest.kwargs) -> Found:
        now = status(path)
        identity = (now.st_dev, now.st_ino, now.st_size, now.st_mtime_ns)
        key = (path, identity, rest, tuple(named.items()))
        if key not in known:
            value = function(path, *rest, **named)
            if time.time() - now.st_mtime <= UNSETTLED_SECONDS:
                return value
            known[key] = value
        return known[key]

    return call


@remembered
def unpacked_size(path: Path, most: int) -> int:
    """Count the bytes of a file's content, or return `most + 1` if there are more than `most`.

    A gzipped file is decompressed and counted: its last bytes state only the size of its last
    member.
    """
    with content(path) as stream:
        if not isinstance(stream, gzip.GzipFile):
            return min(status(path).st_size, most + 1)
        return sum(map(len, blocks(stream, most + 1)))


@remembered
def digest(path: Path, algorithm: str) -> str:
    """Compute the checksum of a file as it lies on disk."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


@remembered
def checksums(path: Path) -> dict[str, str]:
    """Read the lines `CHECKSUM  NAME` of a file of checksums; other lines are left out."""
    lines = (line.split(maxsplit=1) for line in path.read_text("utf-8", "replace").splitlines())
    return {
        pair[1].removeprefix("*").removeprefix("./"): pair[0].lower()
        for pair in lines
        if len(pair) == 2
    }


def unlike_checksum(path: Path) -> str | None:
    """Return the name of the file of checksums beside a file which it differs from, or None."""
    for name, algorithm in CHECKSUM_FILES.items():
        sums = path.with_name(name)
        if sums.is_file():
            wanted = checksums(sums).get(path.name)
            if wanted is not None and digest(path, algorithm) != wanted:
                return name
    return None

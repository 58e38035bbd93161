"""Finding and opening data files. Everything that can be wrong with one is said in a sentence."""

import gzip
import os
import zlib
from pathlib import Path

from ceflow.data.dataset import data_error


def find(path: str, folder: Path) -> Path:
    """Where `path` is: in the document's folder, else in the folder named by CEFLOW_DATA."""
    places = [folder / path]
    if root := os.environ.get("CEFLOW_DATA"):
        places.append(Path(root) / path)
    for place in places:
        if os.path.exists(place):  # unlike Path.exists, False for a name that no system takes
            return place
    looked = " or ".join(str(place.absolute()) for place in places)
    help = "set [data] path, or CEFLOW_DATA to the folder that holds it"
    raise data_error("CE301", f"no data at {looked}", help=help)


def read_bytes(path: Path, length: int = -1) -> bytes:
    """The content of a file, unpacked where it is gzipped; at most `length` bytes of it."""
    try:
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
        with gzip.open(path) if packed else path.open("rb") as file:
            content = file.read(length)
    except FileNotFoundError:
        raise data_error("CE301", f"no file {path}") from None
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise data_error("CE302", f"{path} is damaged: {error}") from None
    except OSError as error:
        raise data_error("CE301", f"{path} cannot be read: {error.strerror}") from None
    refuse_pickle(path, content)
    return content


def refuse_pickle(path: Path, content: bytes) -> None:
    """Raise where a file is a Python pickle: loading one would run whatever code it holds."""
    if content[:1] == b"\x80" and content[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        message = f"{path} is a Python pickle, which is never loaded: it could run any code"
        help = "give the binary version of the data, or an .npz of plain arrays"
        raise data_error("CE303", message, help=help)


def unpacked_size(path: Path) -> int:
    """Bytes of a file's content; of a gzipped one as its trailer says, without unpacking it."""
    with path.open("rb") as file:
        if file.read(2) != b"\x1f\x8b":
            return path.stat().st_size
        file.seek(-4, os.SEEK_END)
        return int.from_bytes(file.read(4), "little")

"""The size and hash of files, which show whether they were changed."""

import hashlib
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceflow.store.atomic import release

if TYPE_CHECKING:
    import numpy as np

LARGE_BYTES = 2**26
"""Size in bytes of a file or folder above which reading it would displace others from the page
cache."""


def facts(path: Path) -> dict[str, Any]:
    """Return the `size` in bytes and the `sha256` of a file or folder.

    For a folder they are the total size, and the hash of the lines `HASH PATH` of its files in the
    order of their paths, as sha256sum prints them.

    Raises `OSError` if it does not exist.
    """
    if not path.is_dir():
        size = path.stat().st_size
        return {"size": size, "sha256": _hash(path, last=size >= LARGE_BYTES)}
    files = sorted(_files(path), key=lambda file: file.relative_to(path).as_posix())
    size = sum(file.stat().st_size for file in files)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        hashes = list(pool.map(lambda file: _hash(file, last=size >= LARGE_BYTES), files))
    lines = zip(hashes, files, strict=True)
    text = "".join(f"{hash}  {file.relative_to(path).as_posix()}\n" for hash, file in lines)
    return {"size": size, "sha256": hashlib.sha256(text.encode()).hexdigest()}


def text_facts(content: bytes | str) -> dict[str, Any]:
    """Return the size and hash of a file with this content."""
    content = content.encode() if isinstance(content, str) else content
    return {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def fingerprint(array: "np.ndarray") -> str:
    """Hash the type, shape and numbers of an array."""
    import numpy as np

    digest = hashlib.blake2b(f"{array.dtype} {array.shape}".encode(), digest_size=16)
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def is_sound(path: Path, recorded: Any) -> bool:
    """Tell whether a file or folder matches its recorded size and hash. The size is
    compared first.
    """
    try:
        return _size(path) == recorded["size"] and facts(path) == recorded
    except (OSError, KeyError, TypeError):
        return False


def _size(path: Path) -> int:
    if path.is_dir():
        return sum(file.stat().st_size for file in _files(path))
    return path.stat().st_size


def _files(folder: Path) -> Iterator[Path]:
    return (file for file in folder.rglob("*") if file.is_file())


def _hash(path: Path, *, last: bool) -> str:
    """Hash one file; with `last` it is dropped from the page cache."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if last:
        release(path)
    return digest

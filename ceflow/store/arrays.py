"""Arrays of a run: Zarr stores of plain arrays or of triangles of tiles, and what they are of."""

import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceflow.store.atomic import remove
from ceflow.store.tiles import UNREADABLE, TileStore

if TYPE_CHECKING:
    import numpy as np

About = dict[str, Any]
"""Facts about the content of an array, as JSON holds them."""

METADATA_FILE = "zarr.json"
"""Name of the file in which a Zarr store keeps its shape and its attributes."""

CHUNK_COLUMNS = 4096
"""Most columns of a chunk of an array that is written by blocks of rows."""

DIGITS = re.compile(r"\d+$")
"""The bits of a number in the name of a type, such as `float64`."""

ABOUT = "ceflow"
"""Attribute that holds the facts about the content."""


class Damaged(ValueError):
    """A file of a run is not as it was written; the message says which, and how."""


@dataclass(frozen=True)
class StoredArray:
    """The metadata of a stored array."""

    shape: tuple[int, ...]
    itemsize: int
    """Bytes of one number."""
    is_tiled: bool
    """True if the array is a triangle of tiles (`ceflow.store.tiles`)."""
    about: About
    """Facts about the content; empty if they were not written."""


def write_array(path: Path, array: "np.ndarray", about: About | None = None) -> None:
    """Store an array with facts about its content, replacing an earlier one."""
    import zarr

    # A chunk of zeros is a chunk: one whose file is not there was lost.
    with _replacing(path) as temporary, zarr.config.set({"array.write_empty_chunks": True}):
        attributes = {} if about is None else {ABOUT: about}
        zarr.save_array(str(temporary), array, attributes=attributes)  # pyright: ignore[reportArgumentType]


def write_rows(
    path: Path, blocks: "Iterable[np.ndarray]", rows: int, about: About | None = None
) -> None:
    """Store an array that comes by blocks of rows, `rows` in all; one block is in memory."""
    import zarr

    array, start = None, 0
    with _replacing(path) as temporary, zarr.config.set({"array.write_empty_chunks": True}):
        for block in blocks:
            if array is None:
                array = zarr.create_array(
                    str(temporary),
                    shape=(rows, *block.shape[1:]),
                    chunks=(len(block), *(min(size, CHUNK_COLUMNS) for size in block.shape[1:])),
                    dtype=block.dtype,
                    attributes={} if about is None else {ABOUT: about},
                )
            array[start : start + len(block)] = block
            start += len(block)


def read_rows(path: Path, rows: slice) -> "np.ndarray":
    """Load some rows of a stored array."""
    import numpy as np
    import zarr

    return np.asarray(zarr.open_array(str(path), mode="r")[rows])


def copy_array(source: Path, target: Path) -> None:
    """Copy a store, replacing an earlier one. Its files take no space again if both are on one file
    system: no file of a store is changed once it is written.
    """
    with _replacing(target) as temporary:
        shutil.copytree(source, temporary, copy_function=_linked)


def _linked(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without links
        shutil.copy2(source, target)


@contextmanager
def _replacing(path: Path) -> Iterator[Path]:
    """Give a temporary place for a folder, which is renamed to `path` after the block."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        yield temporary
        remove(path)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def describe_array(path: Path, about: About) -> None:
    """Write facts about the content of a store; do nothing if it has them."""
    import zarr

    array = zarr.open_array(str(path), mode="r+")
    if array.attrs.get(ABOUT) != about:
        array.attrs[ABOUT] = about


def metadata_of(path: Path) -> StoredArray | None:
    """Read the metadata of a store without loading Zarr; None if there is no array at `path`."""
    with suppress(OSError, ValueError, LookupError, TypeError, AttributeError):
        found = json.loads((path / METADATA_FILE).read_text(encoding="utf-8"))
        attributes, about = found["attributes"], found["attributes"].get(ABOUT, {})
        if found["node_type"] == "array":
            shape, bits = tuple(map(int, found["shape"])), DIGITS.search(found["data_type"])
            itemsize = int(bits[0]) // 8 if bits else 1
            return StoredArray(shape, itemsize, "tiles" in attributes, dict(about))
    return None


def read_array(path: Path) -> "np.ndarray":
    """Load a stored array; a triangle of tiles (`ceflow.store.tiles`) is mirrored to the whole
    matrix.

    Raises `Damaged` if it was changed, `ValueError` if tiles are missing.
    """
    import numpy as np
    import zarr

    try:
        array = zarr.open_array(str(path), mode="r")
        if "tiles" not in array.attrs:
            if lacking := array.nchunks - array.nchunks_initialized:
                raise Damaged(f"{lacking} of its {array.nchunks} chunks are missing")
            return np.asarray(array[...])
    except UNREADABLE as error:
        what = error if isinstance(error, Damaged) else "it is not what a run writes"
        raise Damaged(
            f"{path} is damaged: {what}; run its document into this directory again, which makes"
            " anew what is damaged"
        ) from error
    store = TileStore(path)
    whole = np.empty((store.size, store.size), store.dtype)
    for row, column in store.tiles:
        above, beside = (slice(i * store.tile, (i + 1) * store.tile) for i in (row, column))
        whole[above, beside] = block = store.read((row, column))
        whole[beside, above] = block.T
    return whole

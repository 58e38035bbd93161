"""Arrays as Zarr, written whole and then renamed into place."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from ceflow.store.atomic import remove
from ceflow.store.tiles import TileStore

if TYPE_CHECKING:
    import numpy as np


def write_array(path: Path, array: "np.ndarray") -> None:
    """Store an array; one that was there is replaced."""
    import zarr

    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(temporary, ignore_errors=True)
    try:
        zarr.save_array(str(temporary), array)  # pyright: ignore[reportArgumentType]
        remove(path)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_array(path: Path) -> "np.ndarray":
    """Load a stored array; of a triangle of tiles (`ceflow.store.tiles`), mirrored, the whole."""
    import numpy as np
    import zarr

    array = zarr.open_array(str(path), mode="r")
    if "tiles" not in array.attrs:
        return np.asarray(array[...])
    store = TileStore(path)
    whole = np.empty((store.size, store.size), store.dtype)
    for row, column in store.tiles:
        above, beside = (slice(i * store.tile, (i + 1) * store.tile) for i in (row, column))
        whole[above, beside] = block = store.read((row, column))
        whole[beside, above] = block.T
    return whole

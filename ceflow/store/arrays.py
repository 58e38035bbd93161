"""Arrays as Zarr, written whole and then renamed into place."""

import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

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
        shutil.rmtree(path, ignore_errors=True)
        temporary.rename(path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def read_array(path: Path) -> "np.ndarray":
    """Load a stored array."""
    import numpy as np
    import zarr

    array = zarr.open_array(str(path), mode="r")
    return np.asarray(array[...])

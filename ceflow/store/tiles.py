"""A symmetric matrix on disk as a triangle of tiles: a Zarr array of which only the chunks on and
above the diagonal are stored. Knows no mathematics.
"""

import operator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceflow.store.atomic import release, remove

if TYPE_CHECKING:
    import numpy as np

Index = tuple[int, int]
"""A tile, as its row and its column of tiles, with row <= column."""

FORMAT = 1

UNREADABLE = (OSError, ValueError, LookupError, TypeError, AttributeError, RuntimeError)
"""Exceptions that Zarr raises for files that are not an array, from metadata to compression."""


class OtherStore(ValueError):
    """A path holds no store of tiles, or the store of another matrix."""


class TileStore:
    """A triangle of tiles: one chunk per tile, one file per chunk, uncompressed, since a kernel's
    digits are noise.

    A tile is done if its file exists and has its full size. Files are created by a rename, so a
    process that dies leaves complete tiles and at most one temporary file; after a power failure, a
    file that is too short counts as not done. Only one process may write at a time, any number may
    read. Written tiles are dropped from the page cache, since tiles larger than memory would
    displace everything else in it.
    """

    def __init__(self, path: Path):
        """Open a store. Raises `OtherStore` if there is none at `path`."""
        import zarr

        self.path = path
        try:
            # A tile that is all NaN is a tile: its file says that it is done.
            with zarr.config.set({"array.write_empty_chunks": True}):
                self._array = zarr.open_array(str(path), mode="r+")
            facts: Any = self._array.attrs["tiles"]
            format, self.identity = facts["format"], str(facts["identity"])
        except UNREADABLE as error:
            raise OtherStore(f"{path} holds no tiled matrix: is it a store of ceflow?") from error
        if format != FORMAT:
            raise OtherStore(f"{path} is of format {format}, this ceflow reads format {FORMAT}")
        self.size, self.tile = self._array.shape[0], self._array.chunks[0]
        self.dtype: np.dtype = self._array.dtype
        self._latest: Path | None = None

    @classmethod
    def create(
        cls, path: Path, size: int, tile: int, dtype: "np.dtype", identity: str = ""
    ) -> "TileStore":
        """Create a store without tiles for a `size` x `size` matrix; `path` must not exist."""
        import zarr

        zarr.create_array(
            str(path),
            shape=(size, size),
            chunks=(tile, tile),
            dtype=dtype,
            fill_value=float("nan"),
            compressors=None,
            filters=None,
            attributes={"tiles": {"format": FORMAT, "identity": identity}},
        )
        return cls(path)

    @classmethod
    def resume(cls, path: Path, size: int, tile: int, identity: str) -> "TileStore | None":
        """Open the store that was begun at `path`; None if there is nothing yet.

        Raises `OtherStore` if something else is there, or a store with another identity.
        """
        if _is_free(path):
            remove(path)
            return None
        store = cls(path)
        for name, held, wanted in (
            ("rows", store.size, size),
            ("rows a tile", store.tile, tile),
            ("the identity", store.identity, identity),
        ):
            if held != wanted:
                raise OtherStore(
                    f"{path} is the store of another run ({name}: {held}, not {wanted});"
                    " remove it or give another path"
                )
        store._remove_strays()
        return store

    @property
    def tiles(self) -> list[Index]:
        """Indices of the tiles on and above the diagonal, row by row."""
        return triangle(self.size, self.tile)

    @property
    def missing(self) -> list[Index]:
        """Indices of the tiles that are not done, row by row."""
        return [index for index in self.tiles if not self.has(index)]

    def has(self, index: Index) -> bool:
        """Tell whether a tile is done."""
        try:
            return self._file(index).stat().st_size == self.dtype.itemsize * self.tile**2
        except OSError:
            return False

    def write(self, index: Index, block: "np.ndarray") -> None:
        """Write one tile atomically. Raises `ValueError` for numbers of another dtype."""
        if block.dtype != self.dtype:
            raise ValueError(
                f"{self.path} holds {self.dtype}, and a tile of {block.dtype} came: compute it in"
                " the same precision, or give another path"
            )
        self._array.set_block_selection(index, block)
        self._release(self._file(index))

    def read(self, index: Index) -> "np.ndarray":
        """Read one tile. Raises `ValueError` if it is not done, and says how many are missing."""
        import numpy as np

        if not self.has(index):
            lacking = self.missing
            raise ValueError(
                f"{self.path} is not complete: {len(lacking)} of its {len(self.tiles)} tiles are"
                f" missing, tile {lacking[0]} first; computing it again adds only those"
            )
        # An uncompressed chunk is a file of plain numbers: seven times faster than through Zarr.
        numbers = np.fromfile(self._file(index), self.dtype.newbyteorder("<"))
        rows, columns = (min(self.tile, self.size - number * self.tile) for number in index)
        return numbers.reshape(self.tile, self.tile)[:rows, :columns]

    def _release(self, written: Path) -> None:
        """Drop the tile before this one from the page cache, and start writing this one to disk."""
        release(written)
        if self._latest is not None:
            release(self._latest)
        self._latest = written

    def _remove_strays(self) -> None:
        """Remove the temporary files of a process that died while writing a tile."""
        for stray in self.path.rglob("*.partial"):
            stray.unlink(missing_ok=True)

    def _file(self, index: Index) -> Path:
        return self.path / "c" / str(index[0]) / str(index[1])


def _is_free(path: Path) -> bool:
    # A process that dies while it creates a store leaves a folder with unfinished metadata.
    return not path.exists() or (
        path.is_dir() and all(entry.suffix == ".partial" for entry in path.iterdir())
    )


def triangle(size: int, tile: int) -> list[Index]:
    """List the tiles on and above the diagonal of a `size` x `size` matrix, row by row.

    >>> triangle(5, 2)
    [(0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2)]
    """
    count = -(-size // tile)
    return [(row, column) for row in range(count) for column in range(row, count)]


def checked_tile(tile: int) -> int:
    """Return the tile size. Raises `ValueError` unless it is an integer of at least 1."""
    try:
        number = operator.index(tile)
    except TypeError:
        number = 0
    if number < 1 or isinstance(tile, bool):
        raise ValueError(f"a tile has a whole number of rows, 1 or more, not {tile!r}")
    return number

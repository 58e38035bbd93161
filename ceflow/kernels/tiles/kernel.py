"""Symmetric kernels stored on disk in tiles."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ceflow import nets
from ceflow.store.tiles import TileStore

ALL = slice(None)
"""Slice of all rows or columns."""


class TiledKernel:
    """An N x N symmetric matrix on disk, used like an array: `K[a:b, c:d]`, `K @ v`, `K.trace()`.

    Only tiles on and above the diagonal are stored. Besides the result, an operation holds at most
    a few tiles in memory. Reading a tile that was not written yet raises `ValueError`.
    """

    ndim = 2
    __array_ufunc__ = None  # otherwise `y @ K` would load the whole kernel
    __iter__ = None

    def __init__(self, store: TileStore):
        self._store = store
        self.shape, self.dtype = (store.size, store.size), store.dtype
        self.tile, self.path = store.tile, store.path

    def __repr__(self) -> str:
        state = "" if self.is_complete else ", not complete"
        return f"TiledKernel({str(self.path)!r}, {self.shape}, {self.dtype}{state})"

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def is_complete(self) -> bool:
        """Whether every tile was written."""
        return not self._store.missing

    def __getitem__(self, key: Any) -> Float[np.ndarray, "rows columns"]:
        """Read a block, given slices of rows and columns without a step."""
        rows, columns = (
            _bounds(part, len(self)) for part in (key if isinstance(key, tuple) else (key, ALL))
        )
        block = np.empty((len(rows), len(columns)), self.dtype)
        for above in self._parts(rows):
            for beside in self._parts(columns):
                tile = self._read(above.start // self.tile, beside.start // self.tile)
                block[_within(above, rows.start), _within(beside, columns.start)] = tile[
                    _within(above, above.start // self.tile * self.tile),
                    _within(beside, beside.start // self.tile * self.tile),
                ]
        return block

    def __array__(
        self, dtype: Any = None, copy: bool | None = None
    ) -> Float[np.ndarray, "rows columns"]:
        if copy is False:
            raise ValueError("a kernel on disk becomes an array only as a copy")
        return self[:, :].astype(dtype or self.dtype, copy=False)

    def __matmul__(self, other: Float[np.ndarray, "rows ..."]) -> Float[np.ndarray, "rows ..."]:
        """Compute `K v` for one or several vectors; each stored tile is read once."""
        other = np.asarray(nets.numbers(other))
        if len(other) != len(self):
            raise ValueError(f"{len(other)} rows do not go with a kernel of {len(self)}")
        product = np.zeros(other.shape, np.result_type(self.dtype, other))
        for row, column in self._store.tiles:
            tile = self._read(row, column).astype(product.dtype, copy=False)
            above, beside = self._span(row), self._span(column)
            product[above] += tile @ other[beside]
            if row != column:
                product[beside] += tile.T @ other[above]
        return product

    def diagonal(self) -> Float[np.ndarray, " rows"]:
        """Read the diagonal entries K_ii."""
        tiles = range(-(-len(self) // self.tile))
        return np.concatenate([self._read(i, i).diagonal() for i in tiles])

    def trace(self) -> float:
        """Compute the sum of the K_ii in float64."""
        return float(self.diagonal().sum(dtype=np.float64))

    def _read(self, row: int, column: int) -> np.ndarray:
        tile = self._store.read((min(row, column), max(row, column)))
        return tile if row <= column else tile.T

    def _span(self, number: int) -> slice:
        return slice(number * self.tile, min((number + 1) * self.tile, len(self)))

    def _parts(self, rows: range) -> Iterator[range]:
        """Split a range of rows at the boundaries of tiles."""
        start = rows.start
        while start < rows.stop:
            stop = min((start // self.tile + 1) * self.tile, rows.stop)
            yield range(start, stop)
            start = stop


def open(path: str | Path) -> TiledKernel:
    """Open a kernel that `write_tiles` wrote, completely or in part.

    Raises `ValueError` if there is no kernel at `path`.
    """
    return TiledKernel(TileStore(Path(path)))


def _bounds(part: Any, size: int) -> range:
    if not isinstance(part, slice) or part.step not in (None, 1):
        raise TypeError(f"index a kernel on disk with slices without a step, not by {part!r}")
    return range(*part.indices(size))


def _within(rows: range, start: int) -> slice:
    return slice(rows.start - start, rows.stop - start)

"""Splitting a batch into pieces within one compiled program."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import dynamic_slice_in_dim
from jaxtyping import Array, Float, Int, PyTree, Shaped


class Cut:
    """The rows of arrays, `count` in each, cut into pieces of `size` rows.

    If `size` does not divide `count`, the last piece starts earlier and overlaps the one before.
    """

    def __init__(self, rows: PyTree[Array], count: int, size: int):
        self.rows, self.size = rows, size
        self.count = math.ceil(count / size)
        self.last = max(0, count - size)

    def start(self, index: Int[Array, ""]) -> Int[Array, ""]:
        """Return the first row of a piece, given its index."""
        return jnp.minimum(index * self.size, self.last)

    @property
    def starts(self) -> list[int]:
        """First rows of all pieces."""
        return [min(index * self.size, self.last) for index in range(self.count)]

    def at(self, start: Int[Array, ""] | int) -> Any:
        """Return the piece that begins at a row."""
        return jax.tree.map(lambda a: dynamic_slice_in_dim(a, start, self.size), self.rows)

    def __getitem__(self, index: Int[Array, ""]) -> Any:
        return self.at(self.start(index))


def by_chunks(function: Callable[[Array], Any], x: Shaped[Array, "m ..."], size: int) -> Any:
    """Apply a function of batches to at most `size` examples at once; it may return several arrays.

    The last chunk is padded with the last example. `lax.map(batch_size=)` does not fit: it takes a
    function of one example, and compiles it again for the remainder.
    """
    size = min(size, len(x))
    padded = jnp.pad(x, [(0, -len(x) % size), *[(0, 0)] * (x.ndim - 1)], mode="edge")
    return jax.tree.map(lambda part: part[: len(x)], mapped(function, padded, size))


def mapped(function: Callable[[Array], Any], x: Float[Array, "m ..."], size: int) -> Any:
    """Apply a function of batches to `size` examples at once; `size` must divide their number."""
    parts = jax.lax.map(function, x.reshape(-1, size, *x.shape[1:]))
    return jax.tree.map(lambda part: part.reshape(-1, *part.shape[2:]), parts)

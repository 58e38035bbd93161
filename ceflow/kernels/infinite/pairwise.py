"""Functions of pairs of rows, evaluated block by block within one compiled loop."""

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import dynamic_slice_in_dim, dynamic_update_slice
from jaxtyping import Array, Bool, Float

from ceflow.kernels.infinite.angles import MULTIPLE

Block = Callable[[Any, Any, Bool[Array, "a b"] | None], tuple[Float[Array, "a b"], ...]]
"""From the rows of two batches, and which of their pairs are one row, to matrices of the pairs."""


def pairwise(
    block: Block,
    prepare: Callable[[Float[Array, "n d"]], Any],
    x1: Float[Array, "n1 d"],
    x2: Float[Array, "n2 d"] | None,
    tile: int,
) -> tuple[Float[Array, "n1 n2"], ...]:
    """Apply `block` to all pairs of rows, each batch of which is first prepared, row by row.

    Without `x2` the pairs are those of `x1` with itself, and only blocks on and above the
    diagonal are evaluated. Blocks have `tile` rows, rounded up to a multiple of 64; the last is
    moved back where they do not divide. Memory: what is prepared, the result and a few blocks.
    """
    one, two = _Cut(prepare, x1, tile), _Cut(prepare, x1 if x2 is None else x2, tile)
    starts = [(i, j) for i, j in product(one.starts, two.starts) if x2 is not None or i <= j]

    def at(i: Array | int, j: Array | int) -> tuple[Array, ...]:
        same = None if x2 is not None else one.indices(i)[:, None] == two.indices(j)
        return block(one.part(i), two.part(j), same)

    shape = (max(one.count, one.size), max(two.count, two.size))
    write = _written if x2 is not None else _mirrored
    results = at(0, 0) if len(starts) == 1 else _looped(at, starts, shape, write)
    return tuple(matrix[: one.count, : two.count] for matrix in results)


def _looped(
    at: Callable[..., tuple[Array, ...]],
    starts: list[tuple[int, int]],
    shape: tuple[int, int],
    write: Callable[[Array, Array, Array], Array],
) -> tuple[Array, ...]:
    """Compute the blocks at all starts, each written into whole matrices during the next.

    XLA gives a block that is written at once to a single thread, and computes it again to mirror.
    """
    # A derivative recomputes a block rather than keep all of its steps.
    block = jax.checkpoint(at, prevent_cse=False)

    def written(results: tuple[Array, ...], found: tuple[Array, ...], start: Array) -> Any:
        return tuple(write(*pair, start) for pair in zip(results, found, strict=True))

    def step(carry: tuple[Any, ...], start: Array) -> tuple[tuple[Any, ...], None]:
        return (written(*carry), block(start[0], start[1]), start), None

    kinds, order = jax.eval_shape(at, 0, 0), jnp.array(starts)
    empty = tuple(jnp.zeros(shape, kind.dtype) for kind in kinds)
    nothing = tuple(jnp.zeros(kind.shape, kind.dtype) for kind in kinds)
    return written(*jax.lax.scan(step, (empty, nothing, order[0]), order)[0])


def _written(matrix: Array, block: Array, start: Array) -> Array:
    return dynamic_update_slice(matrix, block, start)


def _mirrored(matrix: Array, block: Array, start: Array) -> Array:
    return _written(_written(matrix, block, start), block.T, start[::-1])


class _Cut:
    """Rows in blocks of one size, filled up with zeros to a multiple of 64."""

    def __init__(self, prepare: Callable[[Array], Any], x: Array, tile: int):
        self.count = len(x)
        self.size = MULTIPLE * math.ceil(min(tile, self.count) / MULTIPLE)
        self.rows = prepare(jnp.pad(x, [(0, -self.count % MULTIPLE), (0, 0)]))
        last = max(0, self.count - self.size)
        self.starts = [*range(0, last, self.size), last]

    def part(self, start: Array | int) -> Any:
        return jax.tree.map(lambda a: dynamic_slice_in_dim(a, start, self.size), self.rows)

    def indices(self, start: Array | int) -> Array:
        return start + jnp.arange(self.size)

"""Evaluation of functions of pairs of rows, block by block in one compiled loop."""

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import jax
import jax.numpy as jnp
from jax.lax import dynamic_update_slice
from jaxtyping import Array, Bool, Float

from ceflow.kernels.infinite.angles import ROW_MULTIPLE
from ceflow.kernels.pieces import Cut

KernelBlock = Callable[[Any, Any, Bool[Array, "a b"] | None], tuple[Float[Array, "a b"], ...]]
"""A function of two prepared batches of rows, and a mask of the pairs that are the same row, that
returns matrices over the pairs."""


def pairwise(
    block: KernelBlock,
    prepare: Callable[[Float[Array, "n d"]], Any],
    x1: Float[Array, "n1 d"],
    x2: Float[Array, "n2 d"] | None,
    tile: int,
) -> tuple[Float[Array, "n1 n2"], ...]:
    """Apply `prepare` to each batch, then `block` to all pairs of rows.

    Without `x2`, the pairs are those of `x1` with itself, and only blocks on and above the diagonal
    are evaluated. Blocks have `tile` rows, rounded up to a multiple of 64; the last block starts
    earlier if they do not divide the rows. Memory holds the prepared rows, the result and a few
    blocks.
    """
    counts = len(x1), len(x1 if x2 is None else x2)
    one, two = _cut(prepare, x1, tile), _cut(prepare, x1 if x2 is None else x2, tile)
    starts = [(i, j) for i, j in product(one.starts, two.starts) if x2 is not None or i <= j]

    def at(i: Array | int, j: Array | int) -> tuple[Array, ...]:
        own, other = i + jnp.arange(one.size), j + jnp.arange(two.size)
        same = None if x2 is not None else own[:, None] == other
        return block(one.at(i), two.at(j), same)

    shape = (max(counts[0], one.size), max(counts[1], two.size))
    write = _written if x2 is not None else _mirrored
    results = at(0, 0) if len(starts) == 1 else _looped(at, starts, shape, write)
    return tuple(matrix[: counts[0], : counts[1]] for matrix in results)


def _looped(
    at: Callable[..., tuple[Array, ...]],
    starts: list[tuple[int, int]],
    shape: tuple[int, int],
    write: Callable[[Array, Array, Array], Array],
) -> tuple[Array, ...]:
    """Compute the blocks at all starts; write each one while the next is computed.

    If a block were written immediately, XLA would compute it on a single thread, and again for its
    mirror image.
    """
    # Derivatives recompute a block instead of storing its intermediates.
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


def _cut(prepare: Callable[[Array], Any], x: Array, tile: int) -> Cut:
    """Prepare rows, padded with zeros to a multiple of 64, and cut them into blocks."""
    rows = prepare(jnp.pad(x, [(0, -len(x) % ROW_MULTIPLE), (0, 0)]))
    return Cut(rows, len(x), ROW_MULTIPLE * math.ceil(min(tile, len(x)) / ROW_MULTIPLE))

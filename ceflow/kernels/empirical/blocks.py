"""Computing a kernel in tiles from features of examples, within bounded memory."""

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.lax import dynamic_update_slice, fori_loop
from jaxtyping import Array

from ceflow.kernels.empirical.contractions import contract, symmetric, transposed
from ceflow.kernels.empirical.convolutions import lowered
from ceflow.kernels.empirical.features import Features, features_of
from ceflow.kernels.empirical.networks import Network
from ceflow.kernels.empirical.plans import KernelPlan
from ceflow.kernels.pieces import Cut, mapped


def structured(
    network: Network, plan: KernelPlan, x1: Array, x2: Array | None, trace: bool
) -> Array:
    """Compute the kernel by contracting features, in tiles of `plan.tile` examples a side."""
    batch = lowered(jax.vmap(features_of(network, list(plan.uses), plan.formed)))

    def features(x: Array) -> Features:
        return _mapped(batch, x, min(plan.chunk, len(x)))

    if plan.tile >= max(len(x1), len(x1 if x2 is None else x2)):
        return _whole(features, x1, x2, trace)
    shape = () if trace else (network.outputs, network.outputs)
    if x2 is None:
        empty = jnp.zeros((len(x1), len(x1), *shape), network.dtype)
        return _tiles_above(features, plan, x1, empty, trace)
    empty = jnp.zeros((len(x1), len(x2), *shape), network.dtype)
    return _tiles(features, plan, x1, x2, empty, trace)


def _whole(
    features: Callable[[Array], Features], x1: Array, x2: Array | None, trace: bool
) -> Array:
    """Compute the kernel without loops, so that it can be differentiated in any mode."""
    one = features(x1)
    if x2 is None:
        return symmetric(contract(one, one, trace))
    return contract(one, features(x2), trace)


def _mapped(batch: Callable[[Array], Features], x: Array, chunk: int) -> Features:
    """Compute the features of all rows of x, `chunk` at a time if that divides their number."""
    if len(x) % chunk or chunk == len(x):
        return batch(x)
    return mapped(batch, x, chunk)


def _cut(x: Array, tile: int) -> Cut:
    return Cut(x, len(x), min(tile, len(x)))


def _tiles(
    features: Callable[[Array], Features],
    plan: KernelPlan,
    x1: Array,
    x2: Array,
    out: Array,
    trace: bool,
) -> Array:
    """Compute every tile, keeping the features of `plan.rows` tiles of x1 at a time."""
    one, two = _cut(x1, plan.tile), _cut(x2, plan.tile)
    kept = _even(one.count, plan.rows)

    def over_rows(step: Array, out: Array) -> Array:
        first = jnp.minimum(step * kept, one.count - kept)
        rows = jax.lax.map(lambda row: features(one[first + row]), jnp.arange(kept))

        def over_columns(column: Array, out: Array) -> Array:
            column_features = features(two[column])

            def over_kept(row: Array, out: Array) -> Array:
                tile = contract(jax.tree.map(lambda f: f[row], rows), column_features, trace)
                return _put(out, tile, one.start(first + row), two.start(column))

            return fori_loop(0, kept, over_kept, out)

        return fori_loop(0, two.count, over_columns, out)

    return fori_loop(0, math.ceil(one.count / kept), over_rows, out)


def _tiles_above(
    features: Callable[[Array], Features], plan: KernelPlan, x: Array, out: Array, trace: bool
) -> Array:
    """Compute the tiles on and above the diagonal, and write each and its transpose.

    The last diagonal tile is written last. If the tile size does not divide the rows, the last
    tiles overlap the ones before, and this order keeps the result exactly symmetric.
    """
    cut = _cut(x, plan.tile)
    kept = _even(cut.count, plan.rows)

    def over_rows(step: Array, out: Array) -> Array:
        first = jnp.minimum(step * kept, cut.count - kept)
        rows = jax.lax.map(lambda row: features(cut[first + row]), jnp.arange(kept))

        def over_columns(column: Array, out: Array) -> Array:
            own = column < first + kept
            column_features = jax.lax.cond(
                own,
                lambda: jax.tree.map(lambda f: f[jnp.minimum(column - first, kept - 1)], rows),
                lambda: features(cut[column]),
            )

            def over_kept(row: Array, out: Array) -> Array:
                tile = contract(jax.tree.map(lambda f: f[row], rows), column_features, trace)
                tile = jax.lax.cond(first + row == column, symmetric, lambda tile: tile, tile)
                start, across = cut.start(first + row), cut.start(column)
                return _put(_put(out, tile, start, across), transposed(tile), across, start)

            return fori_loop(0, jnp.minimum(kept, column - first + 1), over_kept, out)

        return fori_loop(first, cut.count, over_columns, out)

    return fori_loop(0, math.ceil(cut.count / kept), over_rows, out)


def _even(tiles: int, kept: int) -> int:
    """Reduce the number of tiles kept at once so that the same number of steps are about equal."""
    return math.ceil(tiles / math.ceil(tiles / kept))


def _put(out: Array, tile: Array, row: Array, column: Array) -> Array:
    return dynamic_update_slice(out, tile, (row, column, *[0] * (out.ndim - 2)))

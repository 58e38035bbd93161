"""Distributing work over the devices of this host."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, ArrayLike, Float

from ceflow import nets
from ceflow.kernels.empirical.networks import pair_for, split
from ceflow.kernels.empirical.networks import trace as traced
from ceflow.kernels.empirical.ntk import check_kernel, empirical_ntk
from ceflow.seeding import full_products

AXIS = "devices"
"""Name of the mesh axis that runs over the devices."""
SPLIT, WHOLE = PartitionSpec(AXIS), PartitionSpec()
"""Sharding of an array split over the devices, and of one present on each."""


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that maps `function` over the leading axis, split over the devices.

    Arguments and results are pytrees of arrays (members, keys of draws) with the same leading axis,
    of any length. Each device evaluates its part one call at a time, and needs the memory of one
    call. Results do not depend on the number of devices, up to rounding, as XLA may fuse operations
    differently. The returned function is compiled once per shape: keep it and reuse it.

    >>> square = spread(lambda x: x @ x)
    >>> square(jnp.arange(6.0).reshape(3, 2))
    Array([ 1., 13., 41.], dtype=float32)
    """

    @jax.jit
    def compiled(stacked: Any) -> Any:
        return _sharded(lambda part: jax.lax.map(lambda one: function(*one), part), stacked)

    def mapped(*stacked: Any) -> Any:
        count = _length(stacked)
        return jax.tree.map(lambda leaf: leaf[:count], compiled(_padded(stacked)))

    return mapped


@full_products()
def ensemble_ntk(
    ensemble: nets.Ensemble,
    x1: Float[ArrayLike, "n1 ..."],
    x2: Float[ArrayLike, "n2 ..."] | None = None,
    *,
    trace: bool = False,
) -> Float[Array, "n1 n2 ..."]:
    """Compute the empirical NTK of an ensemble, its members spread over this host's devices.

    `K = (1/m) sum_j K_j` (CE eq. 4): each device sums the kernels of its members, one at a time,
    and the sums are added. The result is that of `empirical_ntk(ensemble, x1, x2)`, up to rounding;
    each device needs the memory for one member.

    >>> from ceflow.nets import Dense, Ensemble
    >>> pair = Ensemble(lambda key: Dense(2, 1, key=key), 2, key=jax.random.key(0))
    >>> print(ensemble_ntk(pair, jnp.eye(2), trace=True).round(3))
    [[0.5 0. ]
     [0.  0.5]]
    """
    if not isinstance(ensemble, nets.Ensemble):
        raise TypeError(
            f"ensemble_ntk takes an Ensemble of ceflow.nets, not a {type(ensemble).__name__}: the"
            " module of a compiled ensemble, ceflow.compile(document).module"
        )
    one, two = pair_for(ensemble, None, x1, x2)
    kernel = _mean_over_members(ensemble, one, one if two is None else two, trace)
    check_kernel(kernel, lambda: traced(*split(ensemble, None), None, one[0]))
    return kernel


@eqx.filter_jit
def _mean_over_members(ensemble: nets.Ensemble, x1: Array, x2: Array, trace: bool) -> Array:
    arrays, static = eqx.partition(ensemble.members, eqx.is_array)
    padded = _padded(arrays)
    weights = jnp.arange(_length(padded)) < ensemble.multiplicity  # 0 for padding

    def total(part: Any) -> Array:
        def add(total: Array, one: Any) -> tuple[Array, None]:
            member, weight = one
            return total + weight * kernel(member), None

        def kernel(member: Any) -> Array:
            return empirical_ntk(eqx.combine(member, static), x1, x2, trace=trace)

        first = jax.eval_shape(kernel, jax.tree.map(lambda leaf: leaf[0], part[0]))
        total, _ = jax.lax.scan(add, jnp.zeros(first.shape, first.dtype), part)
        return jax.lax.psum(total, AXIS)

    return _sharded(total, (padded, weights), WHOLE) / ensemble.multiplicity


def _sharded(function: Callable[[Any], Any], stacked: Any, result: PartitionSpec = SPLIT) -> Any:
    """Apply `function` to each device's part of the stacked arrays."""
    mesh = Mesh(np.array(jax.local_devices()), (AXIS,))
    mapped = jax.shard_map(function, mesh=mesh, in_specs=SPLIT, out_specs=result, check_vma=False)
    return mapped(stacked)


def _padded(stacked: Any) -> Any:
    """Pad stacked arrays to a multiple of the number of devices, repeating the last row."""
    count = _length(stacked)
    whole = math.ceil(count / jax.local_device_count()) * jax.local_device_count()
    rows = np.minimum(np.arange(whole), count - 1)
    return jax.tree.map(lambda leaf: leaf[rows], stacked)


def _length(stacked: Any) -> int:
    lengths = {len(leaf) for leaf in jax.tree.leaves(stacked)}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"stacked arrays must have one length, 1 or more, not {sorted(lengths)}")
    return lengths.pop()

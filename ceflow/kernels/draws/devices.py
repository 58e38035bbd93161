"""Work spread over the devices of this host."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, ArrayLike, Float

from ceflow.kernels.empirical.networks import pair_for, split
from ceflow.kernels.empirical.networks import trace as traced
from ceflow.kernels.empirical.ntk import check_kernel, empirical_ntk
from ceflow.nets import Ensemble

AXIS = "devices"
SPLIT, WHOLE = PartitionSpec(AXIS), PartitionSpec()


def spread(function: Callable[..., Any]) -> Callable[..., Any]:
    """Map `function` over the leading axis of its arguments, a part of them on each device.

    Arguments are pytrees of arrays (members, keys of draws) that all have the same leading axis, of
    any length; so has the result. A device does its part one after the other, so memory is that
    of one call on each. The same numbers on any number of devices, up to rounding: within another
    program XLA may fuse a function otherwise. Compiled once a shape: keep the result, and call it
    often.

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


def ensemble_ntk(
    ensemble: Ensemble,
    x1: Float[ArrayLike, "n1 ..."],
    x2: Float[ArrayLike, "n2 ..."] | None = None,
    *,
    trace: bool = False,
) -> Float[Array, "n1 n2 ..."]:
    """Compute the empirical NTK of an ensemble, its members spread over this host's devices.

    `K = (1/m) sum_j K_j` (CE eq. 4): each device adds up the kernels of its members, one at a time,
    and the devices' sums are added. The same as `empirical_ntk(ensemble, x1, x2)`, up to the
    rounding of a sum in another order; memory on each device is that of one member.

    >>> from ceflow.nets import Dense
    >>> pair = Ensemble(lambda key: Dense(2, 1, key=key), 2, key=jax.random.key(0))
    >>> print(ensemble_ntk(pair, jnp.eye(2), trace=True).round(3))
    [[0.5 0. ]
     [0.  0.5]]
    """
    one, two = pair_for(ensemble, None, x1, x2)
    kernel = _mean_over_members(ensemble, one, one if two is None else two, trace)
    check_kernel(kernel, lambda: traced(*split(ensemble, None), None, one[0]))
    return kernel


@eqx.filter_jit
def _mean_over_members(ensemble: Ensemble, x1: Array, x2: Array, trace: bool) -> Array:
    arrays, static = eqx.partition(ensemble.members, eqx.is_array)
    padded = _padded(arrays)
    weights = jnp.arange(_length(padded)) < ensemble.multiplicity  # 0 for members that fill up

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
    """Repeat the last row of stacked arrays up to a multiple of the number of devices."""
    count = _length(stacked)
    whole = math.ceil(count / jax.local_device_count()) * jax.local_device_count()
    rows = np.minimum(np.arange(whole), count - 1)
    return jax.tree.map(lambda leaf: leaf[rows], stacked)


def _length(stacked: Any) -> int:
    lengths = {len(leaf) for leaf in jax.tree.leaves(stacked)}
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError(f"stacked arrays must have one length, 1 or more, not {sorted(lengths)}")
    return lengths.pop()

"""A module applied to a whole batch, with the examples along the last axis.

On a CPU this layout is the fast one. A product with the weights of channels is one matrix product
for all examples and positions, sums over a channel run along memory, and no array is transposed. A
module that is mapped over the first axis, as by `jax.vmap`, is a product for each example.
"""

from functools import singledispatch
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ceflow.nets.batch_norm import BATCH, BatchNorm
from ceflow.nets.composed import Ensemble, Frozen, Residual, apply, is_stateful
from ceflow.nets.convolution import Convolution

Keys = Key[Array, " batch"] | None


@singledispatch
def batched(
    module: Any, x: Float[Array, "... batch"], state: Any, keys: Keys = None
) -> tuple[Float[Array, "... batch"], Any]:
    """Apply a module to a batch; return its outputs, in the same layout, and the new state.

    It computes what the module does under `jax.vmap` with the axis name of `BATCH`; a module
    without state returns the state unchanged. `keys` are for layers that draw random numbers.

    >>> convolution = Convolution(4, 6, kernel=3, key=jax.random.key(0))
    >>> batched(convolution, jnp.ones((4, 8, 8, 5)), None)[0].shape
    (6, 8, 8, 5)
    """
    return _mapped(module, x, state, keys, -1)


def of_batch(
    module: Any, x: Float[Array, "batch ..."], state: Any, keys: Keys = None
) -> tuple[Float[Array, "batch ..."], Any]:
    """Apply a module to a batch, in the layout that is fast on this backend; return its outputs and
    the new state.
    """
    layers = jax.tree.leaves(module, is_leaf=lambda part: isinstance(part, Convolution))
    if jax.default_backend() != "cpu" or not any(isinstance(each, Convolution) for each in layers):
        return _mapped(module, x, state, keys, 0)
    own = jax.tree.map(lambda leaf: leaf, state)  # Equinox lets a state be read once
    y, state = batched(module, jnp.moveaxis(x, 0, -1), own, keys)
    return jnp.moveaxis(y, -1, 0), state


def _mapped(module: Any, x: Array, state: Any, keys: Keys, axis: int) -> tuple[Array, Any]:
    """Map a module over the examples along an axis."""

    def one(x: Array, state: Any, key: Array | None) -> tuple[Array, Any]:
        return apply(module, x, state, key)

    axes = axis, None, None if keys is None else 0
    return jax.vmap(one, axes, (axis, None), axis_name=BATCH)(x, state, keys)


@batched.register
def _(module: eqx.nn.Sequential, x: Array, state: Any, keys: Keys = None) -> tuple[Array, Any]:
    for layer, own in zip(module.layers, _split(keys, len(module.layers)), strict=True):
        x, state = batched(layer, x, state, own)
    return x, state


@batched.register
def _(module: Residual, x: Array, state: Any, keys: Keys = None) -> tuple[Array, Any]:
    first, second = _split(keys, 2)
    straight = x
    if module.shortcut is not None:
        straight, state = batched(module.shortcut, x, state, first)
    bent, state = batched(module.body, x, state, second)
    return straight + bent, state


@batched.register
def _(module: Frozen, x: Array, state: Any, keys: Keys = None) -> tuple[Array, Any]:
    del keys
    return batched(module.module, x, jax.lax.stop_gradient(module.state))[0], state


@batched.register
def _(module: Ensemble, x: Array, state: Any, keys: Keys = None) -> tuple[Array, Any]:
    def member(module: Any, state: Any, keys: Keys) -> tuple[Array, Any]:
        return batched(module, x, state, keys)

    own, split = None, None
    if is_stateful(module):
        own = state.substate(module.members)
    if keys is not None:
        split = jax.vmap(lambda key: jax.random.split(key, module.multiplicity))(keys)
    outputs, own = eqx.filter_vmap(
        member,
        in_axes=(eqx.if_array(0), 0, 1),
        axis_size=module.multiplicity,
    )(module.members, own, split)
    y = module.combined(outputs)
    return y, state.update(own) if is_stateful(module) else state


@batched.register
def _(module: eqx.nn.Lambda, x: Array, state: Any, keys: Keys = None) -> tuple[Array, Any]:
    y, state = _mapped(module, x, state, keys, -1)
    return jax.lax.optimization_barrier(y), state  # or else XLA computes it for each of its uses


@batched.register
def _(module: Convolution, x: Array, state: Any, keys: Keys = None) -> tuple[Array, Any]:
    del keys
    return module.of_batch(x), state


@batched.register
def _(module: BatchNorm, x: Array, state: Any, keys: Keys = None) -> tuple[Array, Any]:
    del keys
    return module.of_batch(x, state)


def _split(keys: Keys, count: int) -> list[Keys]:
    """Split the key of each example."""
    if keys is None:
        return [None] * count
    each = jax.vmap(lambda key: jax.random.split(key, count))(keys)
    return [each[:, index] for index in range(count)]

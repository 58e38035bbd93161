"""From layers to Equinox modules. The one place of the compiler that loads JAX."""

from functools import partial, singledispatch
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from ceflow import nets
from ceflow.compiler import nodes
from ceflow.spec import Fault, SpecError


def lower(root: nodes.Node, key: Key[Array, ""]) -> eqx.Module:
    """The module of a tree of layers, its weights drawn from `key`."""
    if not nodes.is_finite(root):
        message = "a network with an infinite layer has no module"
        raise SpecError(Fault("CE203", message, ("model",), "key", "give it finite widths"))
    return _drawn(root, key)


@eqx.filter_jit
def _drawn(root: nodes.Node, key: Key[Array, ""]) -> eqx.Module:
    """In NTK parameterisation every parameter is standard normal, so one draw fills a network.

    One, not one a layer: a generator costs JAX a third of a second to compile for each new shape.
    """
    if isinstance(root, nodes.Ensemble):
        return nets.Ensemble(lambda k: _drawn(root.member, k), root.multiplicity, key=key)
    empty = eqx.filter_eval_shape(_built, root, key)
    slots, rest = eqx.partition(empty, lambda leaf: isinstance(leaf, jax.ShapeDtypeStruct))
    shapes, structure = jax.tree.flatten(slots)
    ends = np.cumsum([shape.size for shape in shapes])
    numbers = jnp.split(jax.random.normal(key, (int(ends[-1]),)), ends[:-1])
    leaves = [part.reshape(shape.shape) for part, shape in zip(numbers, shapes, strict=True)]
    return eqx.combine(jax.tree.unflatten(structure, leaves), rest)


@singledispatch
def _built(node: nodes.Node, key: Key[Array, ""]) -> eqx.Module:
    """A layer's module."""
    raise TypeError(f"no module is registered for the layer {type(node).__name__}")


@_built.register
def _(node: nodes.Dense, key: Key[Array, ""]) -> eqx.Module:
    return nets.Dense(
        int(node.inputs),
        int(node.outputs),
        weight_variance=node.weight_variance,
        bias_variance=node.bias_variance,
        key=key,
    )


@_built.register
def _(node: nodes.Convolution, key: Key[Array, ""]) -> eqx.Module:
    return nets.Convolution(
        int(node.inputs[0]),
        int(node.channels),
        kernel=node.kernel,
        stride=node.stride,
        groups=node.groups,
        weight_variance=node.weight_variance,
        bias_variance=node.bias_variance,
        key=key,
    )


@_built.register
def _(node: nodes.AveragePool, key: Key[Array, ""]) -> eqx.Module:
    if node.window is None:
        return eqx.nn.Lambda(nets.global_average)
    return eqx.nn.Lambda(partial(nets.average_pool, window=node.window))


@_built.register
def _(node: nodes.Flatten, key: Key[Array, ""]) -> eqx.Module:
    return eqx.nn.Lambda(jnp.ravel)


@_built.register
def _(node: nodes.Residual, key: Key[Array, ""]) -> eqx.Module:
    body, shortcut = jax.random.split(key)
    straight = None if node.shortcut is None else _built(node.shortcut, shortcut)
    return nets.Residual(_built(node.body, body), straight)


@_built.register
def _(node: nodes.Activation, key: Key[Array, ""]) -> eqx.Module:
    return eqx.nn.Lambda(nets.ACTIVATIONS[node.name])


@_built.register
def _(node: nodes.Ensemble, key: Key[Array, ""]) -> eqx.Module:
    return nets.Ensemble(lambda k: _built(node.member, k), node.multiplicity, key=key)


@_built.register
def _(node: nodes.Chain, key: Key[Array, ""]) -> eqx.Module:
    keys = jax.random.split(key, len(node.layers))
    layers: list[Any] = [_built(layer, k) for layer, k in zip(node.layers, keys, strict=True)]
    return eqx.nn.Sequential(layers)

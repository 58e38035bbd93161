"""From layers to Equinox modules. The only part of the compiler that loads JAX."""

from functools import lru_cache, partial, singledispatch
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Key

from ceflow import nets
from ceflow._numbers import require_key
from ceflow.compiler import nodes
from ceflow.compiler.drawing import is_known, normals
from ceflow.spec import Fault, SpecError


def lower(root: nodes.Node, key: Key[Array, ""]) -> eqx.Module:
    """Build the module of a tree of layers, with weights drawn from `key`. It takes one example.

    It is the network at inference; with batch normalisation, with its initial statistics.
    """
    module, state = lower_with_state(root, key)
    return nets.Frozen(module, state) if nets.is_stateful(module) else _at_inference(root, module)


def _at_inference(root: nodes.Node, module: Any) -> Any:
    """Turn off what acts in training alone; a network without dropout stays as it is."""
    drops = any(isinstance(node, nodes.Dropout) for node in nodes.every(root))
    return eqx.nn.inference_mode(module) if drops else module


def lower_with_state(root: nodes.Node, key: Key[Array, ""]) -> tuple[eqx.Module, eqx.nn.State]:
    """Build the module in training mode, and its state."""
    _require_finite(root)
    require_key(key)
    if any(isinstance(each, nodes.External) for each in nodes.every(root)):
        return _built(root, key), eqx.nn.State(())
    if _is_small(root, key):
        return eqx.nn.make_with_state(_filled)(root, key)
    return eqx.nn.make_with_state(_drawn)(root, key)


def lower_each(root: nodes.Node, keys: Key[Array, " k"]) -> eqx.Module:
    """Build the modules that `lower` builds for each key, stacked.

    >>> from ceflow.compiler.models import expand
    >>> from ceflow.spec import Mlp
    >>> root = expand(Mlp(widths=[3], inputs=2, outputs=1))
    >>> several = lower_each(root, jax.random.split(jax.random.key(0), 5))
    >>> [leaf.shape for leaf in jax.tree.leaves(several) if eqx.is_array(leaf)]
    [(5, 3, 2), (5, 1, 3)]
    """
    _require_finite(root)
    drawn = _filled(root, keys) if _is_small(root, keys) else _drawn_each(root, keys)
    return _at_inference(root, drawn)


def _require_finite(root: nodes.Node) -> None:
    if not nodes.is_finite(root):
        message = "a network with an infinite layer has no module"
        raise SpecError(Fault("CE203", message, ("model",), "key", "give it finite widths"))


WEIGHTED = (nets.Dense, nets.Convolution, nets.PositionEmbedding)
"""Modules that have weights."""

SMALL_PARAMETERS = 2**14
"""Largest number of parameters for which compiling a generator takes longer than drawing."""


def _is_small(root: nodes.Node, keys: Array) -> bool:
    """Tell whether to draw weights outside the compiled program of the network.

    That is so if they are all standard normal, and the call is not itself being compiled.
    """
    fits = root.parameters <= SMALL_PARAMETERS and not isinstance(keys, Tracer) and is_known(keys)
    return fits and all(node.starts_normal for node in nodes.every(root))


def _filled(root: nodes.Node, keys: Key[Array, "*k"]) -> eqx.Module:
    """Build what `_drawn` builds, bit for bit, for one key or for each of many."""
    leaves, structure = jax.tree.flatten(_empty(root, jnp.zeros(()).dtype))
    members = root.multiplicity if isinstance(root, nodes.Ensemble) else None
    sizes = [leaf.size // (members or 1) for leaf in leaves if _is_slot(leaf)]
    numbers, start = normals(keys, sum(sizes), members), 0
    for index, leaf in enumerate(leaves):
        if _is_slot(leaf):
            part = numbers[..., start : (start := start + leaf.size // (members or 1))]
            leaves[index] = jax.device_put(part.reshape(*keys.shape, *leaf.shape))
    return jax.tree.unflatten(structure, leaves)


def _is_slot(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)


@lru_cache(maxsize=64)
def _empty(root: nodes.Node, dtype: Any) -> Any:
    """Build a network's module with shapes of this dtype in place of arrays."""
    return eqx.filter_eval_shape(_built, root, jax.random.key(0))


@eqx.filter_jit
def _drawn_each(root: nodes.Node, keys: Key[Array, " k"]) -> Any:
    return eqx.filter_vmap(lambda key: _drawn(root, key))(keys)


@eqx.filter_jit
def _drawn(root: nodes.Node, key: Key[Array, ""]) -> eqx.Module:
    """Draw all weights at once: they are standard normal numbers, so one draw fills a network.

    A draw per layer would be slow: JAX takes a third of a second to compile a generator for each
    new shape.
    """
    if isinstance(root, nodes.External):
        return _built(root, key)
    if isinstance(root, nodes.Ensemble):
        return nets.Ensemble(lambda k: _drawn(root.member, k), root.multiplicity, key=key)
    empty = eqx.filter_eval_shape(_built, root, key)
    slots, rest = eqx.partition(empty, _each(lambda layer: isinstance(layer, WEIGHTED), empty))
    shapes, structure = jax.tree.flatten(slots)
    starts = np.cumsum([0, *(shape.size for shape in shapes)])
    numbers = jax.random.normal(key, (int(starts[-1]),))  # none if the layers have no weights
    leaves = [
        numbers[start : start + shape.size].reshape(shape.shape)
        for start, shape in zip(starts, shapes, strict=False)
    ]
    return _each(_initial, eqx.combine(jax.tree.unflatten(structure, leaves), rest))


def _each(function: Any, module: eqx.Module) -> Any:
    """Replace each layer that has arrays by a function of it."""
    kinds = (*WEIGHTED, nets.BatchNorm, nets.LayerNorm, nets.Scale)
    return jax.tree.map(function, module, is_leaf=lambda part: isinstance(part, kinds))


def _initial(layer: Any) -> Any:
    """Initialise a layer, from standard normal numbers or from shapes alone."""
    if isinstance(layer, WEIGHTED):
        return eqx.tree_at(_weights, layer, layer.initial(), is_leaf=lambda leaf: leaf is None)
    if isinstance(layer, nets.BatchNorm):
        zeros, ones = (make(layer.weight.shape) for make in (jnp.zeros, jnp.ones))
        scales = layer.initial * ones
        return eqx.tree_at(_normalisation, layer, (scales, zeros, (zeros, ones)))
    if isinstance(layer, nets.LayerNorm) and layer.weight is not None:
        ones, zeros = (make(layer.weight.shape) for make in (jnp.ones, jnp.zeros))
        return eqx.tree_at(_weights, layer, (ones, zeros))
    if isinstance(layer, nets.Scale):
        initial = jnp.full(layer.weight.shape, layer.initial)
        return eqx.tree_at(lambda scale: scale.weight, layer, initial)
    return layer


def _weights(layer: Any) -> Any:
    return layer.weight, layer.bias


def _normalisation(layer: nets.BatchNorm) -> Any:
    return layer.weight, layer.bias, layer.statistics.init


@singledispatch
def _built(node: nodes.Node, key: Key[Array, ""]) -> Any:
    """Build a layer's module."""
    return node.module(key)


@_built.register
def _(node: nodes.Dense, key: Key[Array, ""]) -> eqx.Module:
    return nets.Dense(
        int(node.inputs),
        int(node.outputs),
        weight_variance=node.weight_variance,
        bias_variance=node.bias_variance,
        groups=node.groups,
        standard=node.standard,
        key=key,
    )


@_built.register
def _(node: nodes.Convolution, key: Key[Array, ""]) -> eqx.Module:
    return nets.Convolution(
        int(node.inputs[0]),
        int(node.channels),
        kernel=node.kernel,
        stride=node.stride,
        groups=int(node.groups),
        padding=node.edges,
        circular=node.circular,
        as_products=node.as_products,
        weight_variance=node.weight_variance,
        bias_variance=node.bias_variance,
        standard=node.standard,
        key=key,
    )


@_built.register
def _(node: nodes.BatchNorm, key: Key[Array, ""]) -> eqx.Module:
    return nets.BatchNorm(int(nodes.channels(node.inputs)), initial=node.initial)


@_built.register
def _(node: nodes.LayerNorm, key: Key[Array, ""]) -> eqx.Module:
    channels = int(nodes.channels(node.inputs))
    return nets.LayerNorm(
        channels, by_position=node.by_position, affine=node.affine, eps=node.epsilon
    )


@_built.register
def _(node: nodes.Scale, key: Key[Array, ""]) -> eqx.Module:
    return nets.Scale(int(nodes.channels(node.inputs)), initial=node.initial)


@_built.register
def _(node: nodes.PositionEmbedding, key: Key[Array, ""]) -> eqx.Module:
    channels, height, width = node.inputs
    shape = (int(channels), height, width)
    return nets.PositionEmbedding(shape, variance=node.variance, standard=node.standard, key=key)


@_built.register
def _(node: nodes.Dropout, key: Key[Array, ""]) -> eqx.Module:
    return eqx.nn.Dropout(node.rate)


@_built.register
def _(node: nodes.Attention, key: Key[Array, ""]) -> eqx.Module:
    return nets.Attention(
        int(node.inputs[0]),
        heads=node.heads,
        head_width=node.head_width,
        weight_variance=node.weight_variance,
        bias_variance=node.bias_variance,
        standard=node.standard,
        key=key,
    )


@_built.register
def _(node: nodes.MaxPool, key: Key[Array, ""]) -> eqx.Module:
    given = {"window": node.window, "stride": node.stride, "edges": node.edges}
    return eqx.nn.Lambda(partial(nets.max_pool, **given))


@_built.register
def _(node: nodes.AveragePool, key: Key[Array, ""]) -> eqx.Module:
    if node.window is None:
        return eqx.nn.Lambda(nets.global_average)
    return eqx.nn.Lambda(partial(nets.average_pool, window=node.window, stride=node.stride))


@_built.register
def _(node: nodes.Flatten, key: Key[Array, ""]) -> eqx.Module:
    return eqx.nn.Lambda(jnp.ravel)


@_built.register
def _(node: nodes.Residual, key: Key[Array, ""]) -> eqx.Module:
    body, shortcut = jax.random.split(key)
    straight = node.shortcut and _built(node.shortcut, shortcut)
    return nets.Residual(_built(node.body, body), straight)


@_built.register
def _(node: nodes.TokenMixing, key: Key[Array, ""]) -> eqx.Module:
    return nets.TokenMixing(_built(node.mixer, key))


@_built.register
def _(node: nodes.Activation, key: Key[Array, ""]) -> eqx.Module:
    return eqx.nn.Lambda(nets.ACTIVATIONS[node.name])


@_built.register
def _(node: nodes.Ensemble, key: Key[Array, ""]) -> eqx.Module:
    return nets.Ensemble(lambda k: _built(node.member, k), node.multiplicity, key=key)


@_built.register
def _(node: nodes.External, key: Key[Array, ""]) -> Any:
    """Make a module of the user's, which may hold arrays that no program should."""
    if node.make is None:
        raise ValueError(f"the module {node.name!r} is known by its record alone: bind it again")
    return node.make(key)


@_built.register
def _(node: nodes.Chain, key: Key[Array, ""]) -> eqx.Module:
    keys = jax.random.split(key, len(node.layers))
    layers: list[Any] = [_built(layer, k) for layer, k in zip(node.layers, keys, strict=True)]
    return eqx.nn.Sequential(layers)

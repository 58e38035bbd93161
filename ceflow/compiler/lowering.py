"""From layers to Equinox modules. The one place of the compiler that loads JAX."""

from functools import singledispatch
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Key

from ceflow import nets
from ceflow.compiler import nodes
from ceflow.spec import Fault, SpecError


def lower(root: nodes.Node, key: Key[Array, ""]) -> eqx.Module:
    """The module of a tree of layers, its weights drawn from `key`."""
    if not nodes.is_finite(root):
        message = "a network with an infinite layer has no module"
        raise SpecError(Fault("CE203", message, ("model",), "key", "give it finite widths"))
    return _lower(root, key)


@singledispatch
def _lower(node: nodes.Node, key: Key[Array, ""]) -> eqx.Module:
    raise TypeError(f"no module is registered for the layer {type(node).__name__}")


@_lower.register
def _(node: nodes.Dense, key: Key[Array, ""]) -> eqx.Module:
    return nets.Dense(
        int(node.inputs),
        int(node.outputs),
        weight_variance=node.weight_variance,
        bias_variance=node.bias_variance,
        key=key,
    )


@_lower.register
def _(node: nodes.Activation, key: Key[Array, ""]) -> eqx.Module:
    return eqx.nn.Lambda(nets.ACTIVATIONS[node.name])


@_lower.register
def _(node: nodes.Chain, key: Key[Array, ""]) -> eqx.Module:
    keys = jax.random.split(key, len(node.layers))
    layers: list[Any] = [_lower(layer, k) for layer, k in zip(node.layers, keys, strict=True)]
    return eqx.nn.Sequential(layers)


@_lower.register
def _(node: nodes.Ensemble, key: Key[Array, ""]) -> eqx.Module:
    return nets.Ensemble(lambda k: _lower(node.member, k), node.multiplicity, key=key)

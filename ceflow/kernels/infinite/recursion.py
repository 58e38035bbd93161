"""The recursion over the layers of an infinitely wide network on vectors."""

from functools import singledispatch
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.compiler import nodes
from ceflow.kernels.infinite.duals import dual
from ceflow.kernels.infinite.moments import Moments, biased, scaled
from ceflow.kernels.infinite.polynomials import rounded


class State(NamedTuple):
    """Two batches part of the way up: their moments, and the NTK so far with a bound on its error
    (on the diagonal, where it is largest)."""

    moments: Moments
    ntk: Float[Array, "..."]
    ntk_error: Float[Array, "..."] | float = 0.0


def through_layers(root: nodes.Node, moments: Moments) -> State:
    """From the moments of the inputs to those of the outputs, and the NTK."""
    return _propagate(root, State(moments, jnp.zeros_like(moments.angle)))


@singledispatch
def _propagate(node: nodes.Node, state: State) -> State:
    raise TypeError(f"no infinite-width kernel is registered for the layer {type(node).__name__}")


@_propagate.register
def _(node: nodes.Dense, state: State) -> State:
    moments = scaled(state.moments, node.weight_variance)
    if node.bias_variance:
        moments = biased(moments, node.bias_variance)
    return State(
        moments,
        moments.covariance + rounded(node.weight_variance * state.ntk),
        moments.error + node.weight_variance * state.ntk_error,
    )


@_propagate.register
def _(node: nodes.Activation, state: State) -> State:
    after = dual(node.name, state.moments)
    error = after.slope * state.ntk_error + after.slope_error * (state.ntk + state.ntk_error)
    return State(after.moments, after.slope * state.ntk, error)


@_propagate.register
def _(node: nodes.Chain, state: State) -> State:
    for layer in node.layers:
        state = _propagate(layer, state)
    return state


@_propagate.register
def _(node: nodes.Ensemble, state: State) -> State:
    return _propagate(node.member, state)

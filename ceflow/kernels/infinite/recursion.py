"""The recursion over the layers of an infinitely wide network on vectors."""

from functools import singledispatch
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.compiler import nodes
from ceflow.compiler.programs import program
from ceflow.kernels.infinite.duals import Function, dual
from ceflow.kernels.infinite.errors import eps_of, of_covariance
from ceflow.kernels.infinite.moments import Moments, biased, ranged, scaled
from ceflow.kernels.infinite.polynomials import rounded


class State(NamedTuple):
    """Moments and NTK of two batches after some layer.

    If errors are tracked, `ntk_error` bounds the NTK's error on the diagonal, where it is largest.
    """

    moments: Moments
    ntk: Float[Array, "..."]
    ntk_error: Float[Array, "..."] | float = 0.0


def through_layers(root: nodes.Node, moments: Moments) -> State:
    """Propagate the moments of the inputs through all layers, with the NTK."""
    none = jnp.zeros_like(moments.angle)
    return _propagate(root, State(moments, none, 0.0 if moments.errors is None else none))


@singledispatch
def _propagate(node: nodes.Node, state: State) -> State:
    raise TypeError(f"no infinite-width kernel is registered for the layer {type(node).__name__}")


@_propagate.register
def _(node: nodes.Dense, state: State) -> State:
    variances = node.weight_variance, node.bias_variance
    if state.moments.errors is None:
        return _through_weights(state, *variances)
    return _compiled_weights(state, *(v and jnp.asarray(v, state.ntk.dtype) for v in variances))


def _through_weights(state: State, c: float | Array, b: float | Array) -> State:
    moments = scaled(state.moments, c)
    if isinstance(b, Array) or b:
        moments = biased(moments, b)
    ntk = moments.covariance + rounded(c * state.ntk)
    if moments.errors is None:
        return State(moments, ntk)
    moments = ranged(moments)
    error = of_covariance(moments) + c * state.ntk_error + 2 * eps_of(ntk) * ntk
    return State(moments, ntk, error)


@_propagate.register
def _(node: nodes.Activation, state: State) -> State:
    if state.moments.errors is None:
        return _through_activation(node.name, state)
    return _compiled_activation(node.name, state)


def _through_activation(activation: str | Function, state: State) -> State:
    moments = state.moments
    if moments.errors is not None:
        moments = moments._replace(q2=moments.q1, covariance=moments.q1)  # `is_alone`
    after = dual(activation, moments)
    ntk = after.slope * state.ntk
    if moments.errors is None:
        return State(after.moments, ntk)
    error = after.slope * state.ntk_error + after.slope_error * (state.ntk + state.ntk_error)
    return State(after.moments, ntk, error + eps_of(ntk) * ntk)


# Errors are tracked at so few variances that compiling takes all the time: compile without
# optimisation, and once per kind of layer.
_compiled_weights = program(_through_weights)
_compiled_activation = program(_through_activation)


@_propagate.register
def _(node: nodes.Chain, state: State) -> State:
    for layer in node.layers:
        state = _propagate(layer, state)
    return state


@_propagate.register
def _(node: nodes.Ensemble, state: State) -> State:
    return _propagate(node.member, state)

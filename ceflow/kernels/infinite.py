"""NNGP and NTK of infinitely wide networks, in closed form."""

from functools import singledispatch
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ceflow.compiler import nodes
from ceflow.compiler.models import expand
from ceflow.kernels.angles import angles, safe_sqrt
from ceflow.kernels.duals import DUALS
from ceflow.spec import Model


class Kernels(NamedTuple):
    """The two kernels of an infinitely wide network, each (n1, n2), the same for every output."""

    nngp: Float[Array, "n1 n2"]
    ntk: Float[Array, "n1 n2"]


def analytic(
    model: Model, x1: Float[ArrayLike, "n1 d"], x2: Float[ArrayLike, "n2 d"] | None = None
) -> Kernels:
    """Kernels of a model as all hidden widths go to infinity, whatever widths it says.

    The layer recursion with dual activations, in NTK parameterisation with the model's variances:
    a dense layer maps the covariance S to `c S + b` and the NTK to `c S + b + c NTK`; an activation
    maps S to `E[phi phi]` and the NTK to `E[phi' phi'] NTK`. `x2` is `x1` by default. An ensemble
    has its member's kernels (CE section 2). Stable at equal, opposite and zero inputs.

    Raises `ValueError` for an activation that has no closed form here.

    >>> from ceflow.spec import Mlp
    >>> x = jnp.array([[1.0, 1.0]])     # |x|^2 = d: the NTK of a ReLU network is H + 1
    >>> print(analytic(Mlp(widths=[float("inf")] * 3), x).ntk)
    [[4.]]
    """
    x1 = jnp.asarray(x1)
    x2 = x1 if x2 is None else jnp.asarray(x2)
    if x1.shape[1:] != x2.shape[1:] or x1.ndim != 2:
        raise ValueError(f"x1 and x2 must be (examples, inputs), not {x1.shape} and {x2.shape}")
    return _kernels(expand(model, x1.shape[1], 1), x1, x2)


class _Pair(NamedTuple):
    """Two batches part of the way up: second moments, angles between them, and the NTK so far."""

    q1: Float[Array, " n1"]
    q2: Float[Array, " n2"]
    angle: Float[Array, "n1 n2"]
    ntk: Float[Array, "n1 n2"]

    @property
    def size(self) -> Float[Array, "n1 n2"]:
        # Of the product, not the product of roots: exact where q1 = q2, as on the diagonal.
        return safe_sqrt(self.q1[:, None] * self.q2)

    @property
    def nngp(self) -> Float[Array, "n1 n2"]:
        return self.size * jnp.cos(self.angle)


@eqx.filter_jit
def _kernels(root: nodes.Node, x1: Array, x2: Array) -> Kernels:
    angle, inputs = angles(x1, x2), x1.shape[1]
    q1, q2 = (x1**2).sum(axis=1) / inputs, (x2**2).sum(axis=1) / inputs
    pair = _propagate(root, _Pair(q1, q2, angle, jnp.zeros_like(angle)))
    return Kernels(pair.nngp, pair.ntk)


@singledispatch
def _propagate(node: nodes.Node, pair: _Pair) -> _Pair:
    raise TypeError(f"no infinite-width kernel is registered for the layer {type(node).__name__}")


@_propagate.register
def _(node: nodes.Dense, pair: _Pair) -> _Pair:
    scaled = pair._replace(q1=node.weight_variance * pair.q1, q2=node.weight_variance * pair.q2)
    biased = _add_bias(scaled, node.bias_variance) if node.bias_variance else scaled
    return biased._replace(ntk=biased.nngp + node.weight_variance * pair.ntk)


@_propagate.register
def _(node: nodes.Activation, pair: _Pair) -> _Pair:
    if node.name not in DUALS:
        raise ValueError(
            f"no closed form of the infinite-width kernel for {node.name}; use empirical_ntk"
        )
    dual = DUALS[node.name]
    return _Pair(
        dual.gain * pair.q1,
        dual.gain * pair.q2,
        dual.angle(pair.angle),
        dual.slope(pair.angle) * pair.ntk,
    )


@_propagate.register
def _(node: nodes.Chain, pair: _Pair) -> _Pair:
    for layer in node.layers:
        pair = _propagate(layer, pair)
    return pair


@_propagate.register
def _(node: nodes.Ensemble, pair: _Pair) -> _Pair:
    return _propagate(node.member, pair)


def _add_bias(pair: _Pair, variance: float) -> _Pair:
    """Adding b to all covariances; the new angle without the cancellation in 1 - cos^2.

    `tan t' = sqrt(q1 q2 sin^2 t + b ((r1 - r2)^2 + 4 r1 r2 sin^2(t/2))) / (r1 r2 cos t + b)`
    with r = sqrt(q).
    """
    r1, r2 = safe_sqrt(pair.q1)[:, None], safe_sqrt(pair.q2)
    spread = (r1 - r2) ** 2 + 4 * pair.size * jnp.sin(pair.angle / 2) ** 2
    opposite = safe_sqrt((pair.size * jnp.sin(pair.angle)) ** 2 + variance * spread)
    angle = jnp.arctan2(opposite, pair.nngp + variance)
    return _Pair(pair.q1 + variance, pair.q2 + variance, angle, pair.ntk)

"""K of decoders of any depth, with or without biases, with its derivative Xi and sums over a past.

With a = c/d, the first layer maps a point x to Gaussian pre-activations with the covariance
`a X.X'` of the lifted points `X = (x, sqrt(b/a))`, where b is the variance of biases. So K is a
function G of `Q1 = a |X|^2`, `Q2 = a |X'|^2` and

- with a smooth activation, the product `C = a X.X'`: `dK/dX = a (2 G_Q1 X + G_C X')`;
- with a kink at 0, the angle T between X and X': `dK/dX = 2 a G_Q1 X - G_T/|X| p`, with p the unit
  vector along the part of X' perpendicular to X, and 0 if they are parallel.

Neither form divides by a small number at equal or parallel points, which lifting leaves exactly
equal, or parallel without biases. Xi are the entries of dK/dX that belong to x.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.bottlenecks.kernels.kinked import pairs
from ceflow.kernels.infinite.duals import by_covariance, dual
from ceflow.kernels.infinite.moments import Expectations, biased, from_angle, scaled
from ceflow.kernels.infinite.polynomials import angle_of, safe_sqrt
from ceflow.spec import Bottleneck, Mlp

Pair = Float[Array, "*b"]


class Slopes(NamedTuple):
    """K of pairs, and its derivatives by Q1, and by the product C or the angle T."""

    ntk: Pair
    own: Pair
    other: Pair


def slopes(decoder: Mlp, q1: Pair, q2: Pair, mixed: Pair) -> Slopes:
    """Compute K and its derivatives; `mixed` is T if the activation has a kink, otherwise C."""
    of = partial(_by_angle if decoder.kinks else _by_product, decoder)
    shape = jnp.broadcast_shapes(q1.shape, q2.shape, mixed.shape)
    q1, q2, mixed = (jnp.broadcast_to(each, shape) for each in (q1, q2, mixed))
    one, none = jnp.ones_like(mixed), jnp.zeros_like(mixed)
    ntk, own = jax.jvp(of, (q1, q2, mixed), (one, none, none))
    return Slopes(ntk, own, jax.jvp(of, (q1, q2, mixed), (none, none, one))[1])


def _by_angle(decoder: Mlp, q1: Pair, q2: Pair, angle: Pair) -> Pair:
    moments = from_angle(q1, q2, angle)
    ntk = moments.covariance
    for variance in _variances(decoder):
        after = dual(decoder.activation, moments)
        moments = scaled(after.moments, variance)
        if decoder.bias_variance:
            moments = biased(moments, decoder.bias_variance)
        ntk = moments.covariance + variance * after.slope * ntk
    return ntk


def _by_product(decoder: Mlp, q1: Pair, q2: Pair, product: Pair) -> Pair:
    covariance = ntk = product
    for variance in _variances(decoder):
        after = _expected(decoder.activation, q1, q2, covariance)
        q1, q2, covariance = (variance * each + decoder.bias_variance for each in after[:3])
        ntk = covariance + variance * after.slope * ntk
    return ntk


def _variances(decoder: Mlp) -> list[float]:
    """List the weight variances of the layers after the first."""
    return [decoder.weight_variance] * (len(decoder.widths) - 1) + [decoder.last_variance]


def _expected(activation: str, q1: Pair, q2: Pair, c: Pair) -> Expectations:
    """Compute expectations of a smooth activation.

    The derivative of `E[phi phi]` by c is given as `E[phi' phi']`, as a series has none where a
    variance is 0.
    """
    if activation == "linear":
        return Expectations(q1, q2, c, jnp.ones_like(c))
    found = by_covariance(activation, q1, q2, c)
    still = by_covariance(activation, q1, q2, jax.lax.stop_gradient(c)).value
    change = jax.lax.stop_gradient(found.slope) * (c - jax.lax.stop_gradient(c))
    return found._replace(value=still + change)


def lifted(network: Bottleneck, points: Float[Array, "n d"]) -> Float[Array, "n k"]:
    """Return X: the points, with one more entry if the decoder has biases."""
    bias = network.wide_decoder.bias_variance / network.decoder_scale
    if not bias:
        return points
    return jnp.concatenate([points, jnp.full((len(points), 1), bias**0.5, points.dtype)], axis=1)


def ntk_slope(
    network: Bottleneck, one: Float[Array, "n1 d"], two: Float[Array, "n2 d"]
) -> Float[Array, "n1 n2 d"]:
    """Compute `Xi = dK/dx` of all pairs of rows x and x'.

    With a kink it is computed in float64 throughout, because the derivative of the norm jumps where
    x = x', and nearly equal points of float32 have norms that round alike.
    """
    decoder, scale, d = network.wide_decoder, network.decoder_scale, one.shape[1]
    if not decoder.kinks:
        x, y = lifted(network, one), lifted(network, two)
        q1, q2 = (scale * (each**2).sum(1) for each in (x, y))
        at = slopes(decoder, q1[:, None], q2[None], scale * _products(x, y))
        return scale * (2 * at.own[..., None] * one[:, None] + at.other[..., None] * two[None])
    with jax.enable_x64(True):
        pair = pairs(*(lifted(network, each.astype(jnp.float64)) for each in (one, two)))
        at = slopes(decoder, scale * pair.size1**2, scale * pair.size2**2, pair.angle)
        away = _ratio(-at.other, pair.size1)
        found = 2 * scale * at.own[..., None] * pair.one + away[..., None] * pair.aside
        return found[..., :d].astype(one.dtype)


def _ratio(x: Array, y: Array) -> Array:
    """Divide x by y; the result is 0 where y is 0."""
    return jnp.where(y > 0, x / jnp.where(y > 0, y, 1.0), 0.0)


def _products(x: Float[Array, "n1 k"], y: Float[Array, "n2 k"]) -> Float[Array, "n1 n2"]:
    return jnp.matmul(x, y.T, precision=jax.lax.Precision.HIGHEST)


Block = Callable[[Array, Array], tuple[Array, Array]]
"""Sums `sum_s K(x, g_s) chi_s` and `sum_s chi_s Xi(x, g_s)^T` over a block of a past."""


def block_sums(network: Bottleneck, points: Float[Array, "b d"]) -> Block:
    """Return the function that sums K and Xi at some points over a block of a past."""
    return (_kinked_sums if network.wide_decoder.kinks else _smooth_sums)(network, points)


def _smooth_sums(network: Bottleneck, points: Float[Array, "b d"]) -> Block:
    scale, x = network.decoder_scale, lifted(network, points)
    q1 = scale * (x**2).sum(1)[:, None]

    def sums(past: Float[Array, "p d"], chi: Float[Array, "p outputs"]) -> tuple[Array, Array]:
        y = lifted(network, past)
        q2 = scale * (y**2).sum(1)[None]
        at = slopes(network.wide_decoder, q1, q2, scale * _products(x, y))
        own = _products(at.own, chi.T)[..., None] * points[:, None]
        directed = (chi[:, :, None] * past[:, None]).reshape(len(past), -1)
        along = _products(at.other, directed.T).reshape(*own.shape)
        return _products(at.ntk, chi.T), scale * (2 * own + along)

    return sums


def _kinked_sums(network: Bottleneck, points: Float[Array, "b d"]) -> Block:
    """The perpendicular parts are summed as in `past`: `sum_s w_s p = C - (C.e) e` of
    `C = sum_s w_s/sin T e'`, with cosines and C in float64.

    Without biases K depends on the norms by a factor, and derivatives are computed in the precision
    of the points.
    """
    decoder, scale, dtype = network.wide_decoder, network.decoder_scale, points.dtype
    with jax.enable_x64(True):
        precise = jnp.float64 if decoder.bias_variance else dtype
        x, size1, e1 = _directions(network, points)
        q1 = (scale * size1**2).astype(precise)[:, None]

    def sums(past: Float[Array, "p d"], chi: Float[Array, "p outputs"]) -> tuple[Array, Array]:
        with jax.enable_x64(True):
            _, size2, e2 = _directions(network, past)
            cosine = e1 @ e2.T
            sine = safe_sqrt(1 - cosine**2)
            angle = angle_of((1 - cosine) / 2, (1 + cosine) / 2).astype(precise)
            at = slopes(decoder, q1, (scale * size2**2).astype(precise)[None], angle)
            away = _ratio(-at.other.astype(sine.dtype), size1[:, None] * sine)
            wide = chi.astype(sine.dtype)
            c = away @ (wide[:, :, None] * e2[:, None]).reshape(len(past), -1)
            c = c.reshape(len(x), chi.shape[1], -1)
            across = c - (c * e1[:, None]).sum(-1)[..., None] * e1[:, None]
            own = (2 * scale * at.own.astype(sine.dtype)) @ wide
            slope = (own[..., None] * x[:, None] + across)[..., : points.shape[1]]
            return (at.ntk.astype(sine.dtype) @ wide).astype(dtype), slope.astype(dtype)

    return sums


def _directions(network: Bottleneck, points: Float[Array, "n d"]) -> tuple[Array, Array, Array]:
    """Compute lifted points, their lengths and unit vectors, in float64."""
    x = lifted(network, points.astype(jnp.float64))
    size = safe_sqrt(jnp.square(x).sum(axis=1))
    return x, size, x / jnp.where(size > 0, size, 1.0)[:, None]

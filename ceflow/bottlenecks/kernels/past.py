"""Sums of K and Xi over all past points, by matrix products, for the history engine.

Let `e = x/|x|` for a point x, `e' = x'/|x'|` for a past point x', t the angle between them, and
`w = |x'| chi`. Then BN eq. 45 and 46 (for ReLU) summed over the past are, without their factor 1/d,

    sum chi K(x, x')  = |x| (T + e.S)                 T = sum w sin t/(2 pi)
    sum chi Xi(x, x') = S + (C - (C.e) e) + T e       S = sum w (pi - t)/pi e'
                                                      C = sum w cot t/(2 pi) e'

so each pair costs three numbers, and a single projection removes the components of C along x. For
nearly parallel pairs, C is large and nearly along e; so C and the cosine are computed in float64,
even if everything else is in float32 and 64-bit floats are disabled in JAX.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.bottlenecks.costs import PAST_AT_ONCE
from ceflow.bottlenecks.kernels import deep
from ceflow.bottlenecks.kernels.kinked import mixture
from ceflow.kernels.infinite.polynomials import angle_of, safe_sqrt
from ceflow.seeding import full_products
from ceflow.spec import Bottleneck
from ceflow.spec.models import SLOPES


class Past(NamedTuple):
    """Buffers of the points g_s at which the decoder was trained, and of mu chi_s.

    `count` rows are filled.
    """

    points: Float[Array, "p d"]
    chi: Float[Array, "p outputs"]
    count: Any


class Sums(NamedTuple):
    """The sums `sum_s K(x, g_s) chi_s` and `sum_s chi_s Xi(x, g_s)^T` (BN eq. 44 and 43)."""

    outputs: Float[Array, "b outputs"]
    jacobian: Float[Array, "b outputs d"]


class Pieces(NamedTuple):
    """Coefficients for a block of pairs: of w in T, and of `w e'` in S and in C."""

    sine: Float[Array, "b p"]
    slope: Float[Array, "b p"]
    cotangent: Float[Array, "b p"]


@full_products()
def past_sums(network: Bottleneck, points: Float[Array, "b d"], past: Past) -> Sums:
    """Sum over the whole past, one block at a time; more blocks need no new compilation.

    The formulas above are those of one hidden layer with a piecewise linear activation and without
    biases; others are summed by `deep`.
    """
    add_block = (_plain_sums if is_plain(network) else deep.block_sums)(network, points)

    def add(index: Array, sums: Sums) -> Sums:
        block, chi = (
            jax.lax.dynamic_slice_in_dim(each, index * PAST_AT_ONCE, PAST_AT_ONCE)
            for each in past[:2]
        )
        return jax.tree.map(jnp.add, sums, Sums(*add_block(block, chi)))

    outputs = past.chi.shape[1]
    empty = Sums(
        jnp.zeros((len(points), outputs), points.dtype),
        jnp.zeros((len(points), outputs, points.shape[1]), points.dtype),
    )
    return jax.lax.fori_loop(0, -(-past.count // PAST_AT_ONCE), add, empty)


def is_plain(network: Bottleneck) -> bool:
    """Tell whether the decoder has one hidden layer without biases, piecewise linear."""
    return network.has_plain_decoder and network.wide_decoder.activation in SLOPES


def _plain_sums(network: Bottleneck, points: Float[Array, "b d"]) -> deep.Block:
    pieces, (size, e) = pieces_of(network), _directions(points)
    d = points.shape[1]

    def sums(block: Float[Array, "p d"], chi: Float[Array, "p outputs"]) -> Sums:
        size2, e2 = _directions(block)
        w = size2[:, None] * chi
        with jax.enable_x64(True):
            weights = pieces(e @ e2.T, size[:, None])
            directed = (w.astype(e2.dtype)[:, :, None] * e2[:, None]).reshape(len(block), -1)
            slope, cotangent = (
                (each.astype(e2.dtype) @ directed).reshape(-1, chi.shape[1], d)
                for each in weights[1:]
            )
            return _summed(size, e, weights.sine @ w, slope, cotangent)

    return sums


def _summed(size: Array, e: Array, t: Array, s: Array, c: Array) -> Sums:
    """Combine T, S and C to both sums."""

    def along(vectors: Array) -> Array:
        return jnp.einsum("bod,bd->bo", vectors, e)

    jacobian = s + c + (t - along(c))[:, :, None] * e[:, None]
    outputs = size[:, None] * (t + along(s))
    return Sums(outputs.astype(t.dtype), jacobian.astype(t.dtype))


def _directions(x: Float[Array, "b d"]) -> tuple[Float[Array, " b"], Float[Array, "b d"]]:
    """Compute the lengths of vectors, and unit vectors in float64."""
    with jax.enable_x64(True):
        wide = x.astype(jnp.float64)
        size = safe_sqrt(jnp.square(wide).sum(axis=1))
        return size.astype(x.dtype), wide / jnp.where(size > 0, size, 1.0)[:, None]


def pieces_of(network: Bottleneck) -> Callable[[Array, Array], Pieces]:
    """Return the function that computes the coefficients for an activation in closed form.

    It takes the cosine in float64 and `|x|`, and computes in the precision of `|x|`. The linear
    part of the activation contributes only to the slope, at x = 0 too, as it has no kink.
    """
    scale = network.wide_decoder.last_variance * network.decoder_scale
    linear, relu = (scale * weight for weight in mixture(SLOPES[network.wide_decoder.activation]))

    def pieces(cosine: Array, size: Array) -> Pieces:
        of_relu = _relu(cosine, size.dtype)
        slope = 2 * linear + relu * jnp.where(size > 0, of_relu.slope, 0.0)
        return Pieces(relu * of_relu.sine, slope, relu * of_relu.cotangent)

    return pieces


def _relu(cosine: Array, dtype: Any) -> Pieces:
    sine = safe_sqrt((1 - cosine**2).astype(dtype))
    sine = jax.lax.optimization_barrier(sine)  # otherwise recomputed for each coefficient
    s, k, c = (each.astype(dtype) for each in ((1 - cosine) / 2, (1 + cosine) / 2, cosine))
    cotangent = jnp.where(sine > 0, c / jnp.where(sine > 0, sine, 1.0), 0.0)
    slope = (math.pi - angle_of(s, k)) / math.pi
    return Pieces(sine / (2 * math.pi), slope, cotangent / (2 * math.pi))

"""Sums of K and Xi over many pairs, by matrix products: the past of the history engine.

Of point x and past point x' with `cos t = e.e'` of the unit vectors, the part of x' perpendicular
to x is `(e' - cos t e)/sin t`, so a sum of Xi is one of multiples of e' and one of e. For nearly
parallel pairs the two cancel: those products, and the cosine, are in float64 also where all else is
in float32 (and JAX is set to do without), and both sums have the same multiples, to the last bit.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.bottlenecks.kernels.kinked import SLOPES, mixture
from ceflow.bottlenecks.network import Bottleneck
from ceflow.kernels.infinite.angles import safe_norm
from ceflow.kernels.infinite.polynomials import angle_of, safe_sqrt

BLOCK = 4096
"""Past points at once: intermediates of a batch then stay in the processor's caches."""


class Past(NamedTuple):
    """Buffers of the points g_s at which the decoder was trained, and chi_s; `count` are filled."""

    points: Float[Array, "p d"]
    chi: Float[Array, "p outputs"]
    count: Any


class Sums(NamedTuple):
    """`sum_s K(x, g_s) chi_s` and `sum_s chi_s Xi(x, g_s)^T` (BN eq. 43 and 44)."""

    outputs: Float[Array, "b outputs"]
    jacobian: Float[Array, "b outputs d"]


class Pieces(NamedTuple):
    """Of a block of pairs: K, and Xi as multiples of the unit vectors e' and e."""

    ntk: Float[Array, "b p"]
    other: Float[Array, "b p"]
    own: Float[Array, "b p"]


def past_sums(network: Bottleneck, points: Float[Array, "b d"], past: Past) -> Sums:
    """Over the whole past, a block at a time; the number of blocks is not part of the program.

    Raises `ValueError` for an activation without closed forms of K and Xi.
    """
    pieces = pieces_of(network)
    d, outputs = points.shape[1], past.chi.shape[1]
    size1, e1 = _directions(points)

    def add(index: Array, sums: Sums) -> Sums:
        block, chi = (jax.lax.dynamic_slice_in_dim(each, index * BLOCK, BLOCK) for each in past[:2])
        size2, e2 = _directions(block)
        with jax.enable_x64(True):
            found = pieces(size1[:, None], size2, e1 @ e2.T)
            weighed = (chi.astype(e2.dtype)[:, :, None] * e2[:, None]).reshape(BLOCK, -1)
            jacobian = (found.other @ weighed).reshape(-1, outputs, d)
            jacobian += (found.own @ chi.astype(e1.dtype))[:, :, None] * e1[:, None]
            moved = Sums(found.ntk @ chi, jacobian.astype(points.dtype))
        return jax.tree.map(jnp.add, sums, moved)

    empty = Sums(
        jnp.zeros((len(points), outputs), points.dtype),
        jnp.zeros((len(points), outputs, d), points.dtype),
    )
    return jax.lax.fori_loop(0, -(-past.count // BLOCK), add, empty)


def _directions(x: Float[Array, "b d"]) -> tuple[Float[Array, " b"], Float[Array, "b d"]]:
    """Lengths, and unit vectors in float64."""
    size = safe_norm(x)
    with jax.enable_x64(True):
        wide = x.astype(jnp.float64)
        length = safe_norm(wide)[:, None]
        return size, wide / jnp.where(length > 0, length, 1.0)


def pieces_of(network: Bottleneck) -> Callable[[Array, Array, Array], Pieces]:
    """The closed forms of an activation, of `|x|`, `|x'|` and the cosine in float64."""
    activation = network.decoder.activation
    if activation not in SLOPES:
        known = ", ".join(SLOPES)
        raise ValueError(
            f"the history engine sums kernels in closed form, of {known}; the kernels of"
            f' {activation} are known by quadrature only: take the engine "features"'
        )
    linear, relu = mixture(SLOPES[activation])
    scale = network.decoder.last_variance * network.decoder_scale

    def pieces(size1: Array, size2: Array, cosine: Array) -> Pieces:
        parts = [_linear(size1, size2, cosine)] if linear else []
        parts += [_relu(size1, size2, cosine)] if relu else []
        weights = [scale * weight for weight in (linear, relu) if weight]

        def mixed(*same: Array) -> Array:
            return sum(weight * each for weight, each in zip(weights, same, strict=True))  # pyright: ignore[reportReturnType]

        return Pieces(*map(mixed, *parts))

    return pieces


def _linear(size1: Array, size2: Array, cosine: Array) -> Pieces:
    ntk = 2 * size1 * size2 * cosine.astype(size1.dtype)
    other = jnp.broadcast_to(2 * size2, cosine.shape).astype(cosine.dtype)
    return Pieces(ntk, other, jnp.zeros_like(cosine))


def _relu(size1: Array, size2: Array, cosine: Array) -> Pieces:
    """`Xi = (pi - t)/pi x' + |x'|/(2 pi) (cos t/sin t (e' - cos t e) + sin t e)`."""
    narrow = size1.dtype
    s, k = ((1 - cosine) / 2).astype(narrow), ((1 + cosine) / 2).astype(narrow)
    sine, c = 2 * safe_sqrt(s * k), k - s
    slope = jnp.where((size1 > 0) & (size2 > 0), (math.pi - angle_of(s, k)) / math.pi, 0.0)
    slope, sine = jax.lax.optimization_barrier((slope, sine))  # else made again for each piece
    ntk = size1 * size2 * (sine / (2 * math.pi) + slope * c)
    part = jnp.where(sine > 0, c / jnp.where(sine > 0, sine, 1.0), 0.0) * size2 / (2 * math.pi)
    part = part.astype(cosine.dtype)
    other = (slope * size2).astype(cosine.dtype) + part
    return Pieces(ntk, other, (sine * size2 / (2 * math.pi)).astype(cosine.dtype) - part * cosine)

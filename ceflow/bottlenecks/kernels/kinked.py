"""Closed forms of derivatives of the decoder's kernels, for piecewise linear activations.

The activation `phi(x) = a x + (1 - a) relu(x)` has slope a for x < 0 and 1 for x > 0. Each kernel
is `a` times that of the identity plus `(1 - a)^2` times that of ReLU. The decoder is
`f(x) = v phi(u x)/sqrt n`.
"""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ceflow.kernels.infinite.angles import safe_norm


class Pairs(NamedTuple):
    """Geometry of all pairs of rows x of one batch and x' of another.

    `ahead = x/|x|`, and `aside` is the unit vector along the part of x' perpendicular to x, so that
    `x'/|x'| = cos t ahead + sin t aside`. `aside` is 0 if x and x' are parallel, and `ahead` is 0
    if x = 0.
    """

    one: Float[Array, "n1 1 d"]
    two: Float[Array, "1 n2 d"]
    size1: Float[Array, "n1 1"]
    size2: Float[Array, "1 n2"]
    angle: Float[Array, "n1 n2"]
    cosine: Float[Array, "n1 n2"]
    sine: Float[Array, "n1 n2"]
    ahead: Float[Array, "n1 1 d"]
    aside: Float[Array, "n1 n2 d"]
    alive: Bool[Array, "n1 n2"]
    """Whether both vectors of a pair are nonzero."""


def pairs(one: Float[Array, "n1 d"], two: Float[Array, "n2 d"]) -> Pairs:
    """Compute the geometry of all pairs, accurate to rounding at any angle.

    Nearly parallel vectors are subtracted before any rounding, and nearly opposite ones added.
    """
    x, y = one[:, None], two[None]
    size1, size2 = safe_norm(x), safe_norm(y)
    ahead = _over(x, size1)
    side = jnp.where((x * y).sum(-1) < 0, -1.0, 1.0).astype(x.dtype)[..., None]
    apart = _without(_without(y - side * x, ahead), ahead)  # twice, against rounding
    away, along = safe_norm(apart), (y * ahead).sum(-1)
    return Pairs(
        x,
        y,
        size1,
        size2,
        jnp.arctan2(away, along),
        _ratio(along, size2),
        _ratio(away, size2),
        ahead,
        jnp.where(size1[..., None] > 0, _over(apart, away), 0.0),
        (size1 > 0) & (size2 > 0),
    )


def _without(y: Float[Array, "n1 n2 d"], unit: Float[Array, "n1 1 d"]) -> Float[Array, "n1 n2 d"]:
    return y - (y * unit).sum(-1, keepdims=True) * unit


def _over(x: Float[Array, "... d"], size: Float[Array, "..."]) -> Float[Array, "... d"]:
    return _ratio(x, size[..., None])


def _ratio(x: Array, y: Array) -> Array:
    """Divide x by y; the result is 0 if both are 0."""
    return x / jnp.where(y > 0, y, 1.0)


def mixture(slope_below: float) -> tuple[float, float]:
    """Return the weights of the identity's and ReLU's kernels in the activation's kernels.

    >>> mixture(0.0), mixture(1.0)
    ((0.0, 1.0), (1.0, 0.0))
    """
    return slope_below, (1 - slope_below) ** 2


def nngp_slope(pairs: Pairs, a: float) -> Float[Array, "n1 n2 d"]:
    """Compute `dSigma/dx'`; for ReLU `|x| sin t/(2 pi) x'/|x'| + (pi - t)/(2 pi) x`."""
    linear, relu = mixture(a)
    end = pairs.cosine[..., None] * pairs.ahead + pairs.sine[..., None] * pairs.aside
    along = (pairs.size1 * pairs.sine)[..., None] * end / (2 * math.pi)
    return linear * pairs.one + relu * (along + _slope(pairs)[..., None] * pairs.one)


def nngp_mixed(pairs: Pairs, a: float) -> Float[Array, "n1 n2 d d"]:
    """Compute `d2 Sigma/(dx dx')`.

    For ReLU, with e = ahead and p = aside, it is
    `(pi - t)/(2 pi) I + sin t/(2 pi) (cos t (e e' - p p') + sin t (e p' + p e'))`.
    """
    linear, relu = mixture(a)
    e, p = jnp.broadcast_to(pairs.ahead, pairs.aside.shape), pairs.aside
    c, s = pairs.cosine[..., None, None], pairs.sine[..., None, None]
    turned = c * (_outer(e, e) - _outer(p, p)) + s * (_outer(e, p) + _outer(p, e))
    unit = jnp.eye(e.shape[-1], dtype=e.dtype)
    own = _slope(pairs)[..., None, None] * unit
    return linear * unit + relu * (own + s * turned / (2 * math.pi))


def ntk_slope(pairs: Pairs, a: float) -> Float[Array, "n1 n2 d"]:
    """Compute `Xi = dK/dx` (BN eq. 46).

    For ReLU, with e = ahead and p = aside, it is
    `(pi - t)/pi x' + |x'|/(2 pi) (cos t p + sin t e)`.
    """
    linear, relu = mixture(a)
    turned = pairs.cosine[..., None] * pairs.aside + pairs.sine[..., None] * pairs.ahead
    turned = pairs.size2[..., None] * turned / (2 * math.pi)
    return 2 * linear * pairs.two + relu * (2 * _slope(pairs)[..., None] * pairs.two + turned)


def _slope(pairs: Pairs) -> Float[Array, "n1 n2"]:
    """Compute `E[phi' phi']` for ReLU, with derivative 0 at 0."""
    return jnp.where(pairs.alive, (math.pi - pairs.angle) / (2 * math.pi), 0.0)


def _outer(x: Float[Array, "... d"], y: Float[Array, "... d"]) -> Float[Array, "... d d"]:
    return x[..., :, None] * y[..., None, :]

"""Closed forms of `E[phi phi]` and `E[phi' phi']` of smooth activations, at any variance.

The Gaussians have variances q1, q2 and covariance c; `s = sin^2(t/2)` and `k = cos^2(t/2)` belong
to the angle t between them. The formulas have no cancellation, and overflow only if q does.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.kernels.infinite.polynomials import arcsine, rounded, safe_sqrt

Form = Callable[[Array, Array, Array, Array, Array], tuple[Array, Array]]
"""A function of q1, q2, c, s and k that returns `E[phi phi]` and the slope `E[phi' phi']`."""


class Noisy(NamedTuple):
    """Two Gaussians after adding independent noise of variance 1 to each."""

    sine: Float[Array, "..."]
    """`x = c/sqrt((1 + q1)(1 + q2))`, their correlation."""
    cosine: Float[Array, "..."]
    """`y = sqrt(1 - x^2)`."""
    arc: Float[Array, "..."]
    """`arcsin x`."""
    root: Float[Array, "..."]
    """`1/sqrt((1 + q1)(1 + q2))`."""
    inverses: Float[Array, "..."]
    """`1/(1 + q1) + 1/(1 + q2)`."""
    apart: Float[Array, "..."]
    """`(q1 q2 - c^2)/sqrt((1 + q1)(1 + q2))`."""


def noisy(q1: Array, q2: Array, c: Array, s: Array, k: Array) -> Noisy:
    """Add the noise; `y^2 = p1 + p2 - p1 p2 + 4 q1 p1 q2 p2 s k` with `p = 1/(1 + q)`."""
    p1, p2 = 1 / (1 + q1), 1 / (1 + q2)
    root = jnp.sqrt(p1) * jnp.sqrt(p2)
    # At most sqrt(q1 q2), whose square may overflow.
    apart = rounded(4 * ((q1 * jnp.sqrt(p1)) * (q2 * jnp.sqrt(p2))) * (s * k))
    sine = c * root
    cosine = jnp.sqrt((p1 + p2) - rounded(p1 * p2) + rounded(apart * root))
    return Noisy(sine, cosine, arcsine(sine, cosine), root, p1 + p2, apart)


def _quadrant(at: Noisy) -> Array:
    """Compute the probability that both Gaussians are positive."""
    return 0.25 + rounded(at.arc / (2 * math.pi))


def erf(q1: Array, q2: Array, c: Array, s: Array, k: Array) -> tuple[Array, Array]:
    """Compute `E = 2/pi arcsin(2c/sqrt((1 + 2 q1)(1 + 2 q2)))` and slope `4/(pi sqrt(D))`.

    Here `D = (1 + 2 q1)(1 + 2 q2) - 4 c^2` (Williams 1996).
    """
    at = noisy(2 * q1, 2 * q2, 2 * c, s, k)
    return rounded(2 / math.pi * at.arc), 4 / math.pi * at.root / at.cosine


def gelu(q1: Array, q2: Array, c: Array, s: Array, k: Array) -> tuple[Array, Array]:
    """Compute the form of gelu, `x Phi(x)`, by Stein's lemma.

    With `D = (1 + q1)(1 + q2) - c^2`, `M = 1/(2 pi sqrt(D))`,
    `P = E[Phi Phi] = 1/4 + arcsin(c/sqrt((1 + q1)(1 + q2)))/(2 pi)` and
    `R = 1/(1 + q1) + 1/(1 + q2)`: `E = c P + M (q1 q2 - c^2 + c^2 R)`, slope `P + c M (R + 1/D)`.
    """
    at = noisy(q1, q2, c, s, k)
    p, m = _quadrant(at), 1 / (2 * math.pi) / at.cosine
    rest = m * (at.apart + rounded(c * at.sine * at.inverses))
    slope = at.sine * m * (at.inverses + rounded((at.root / at.cosine) ** 2))
    return rounded(c * p) + rounded(rest), p + rounded(slope)


def rectified(q1: Array, q2: Array, c: Array, s: Array, k: Array) -> tuple[Array, Array]:
    """Compute the form of `x Phi(x) + Phi'(x)`, the mean of ReLU under noise of variance 1.

    `E = (sqrt(D) + c (pi/2 + arcsin x))/(2 pi)`, slope `1/4 + arcsin x/(2 pi)` (Cho and Saul 2009).
    """
    at = noisy(q1, q2, c, s, k)
    turn = _quadrant(at)
    return rounded(c * turn) + rounded(at.cosine / at.root / (2 * math.pi)), turn


def sin(q1: Array, q2: Array, c: Array, s: Array, k: Array) -> tuple[Array, Array]:
    """Compute `E = exp(-(q1 + q2)/2) sinh c`, and the slope with cosh, without overflow."""
    alike = c >= 0
    least = jnp.where(alike, s, k)
    roots = safe_sqrt(q1), safe_sqrt(q2)
    unequal = (roots[0] - roots[1]) ** 2  # + 4 sqrt(q1 q2) least = q1 + q2 - 2 |c|
    scale = jnp.exp(-unequal / 2 - rounded(2 * (roots[0] * roots[1]) * least)) / 2
    twice = jnp.where(alike, 2 * c, -2 * c)
    value = -scale * jnp.expm1(-twice)
    return jnp.where(alike, value, -value), scale * (1 + jnp.exp(-twice))


def cos(q1: Array, q2: Array, c: Array, s: Array, k: Array) -> tuple[Array, Array]:
    """Compute `E = exp(-(q1 + q2)/2) cosh c`, and the slope with sinh."""
    slope, value = sin(q1, q2, c, s, k)
    return value, slope

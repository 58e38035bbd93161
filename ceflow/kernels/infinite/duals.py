"""Dual activations: what an infinitely wide layer's nonlinearity does to two Gaussians.

Activations with a kink at 0 map angles to angles, never through a cosine, which near 0 and pi has
lost half of the angle's digits. Smooth ones map covariances to covariances, and take the sine of
the angle where a difference would cancel; the angle after them has half of its digits near 0 and
pi, which is all that a smooth function of the covariance needs.
"""

from collections.abc import Callable
from functools import partial

import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.kernels.infinite.moments import Dual, Moments, from_angle, from_covariance, size
from ceflow.kernels.infinite.polynomials import (
    angle_of,
    half_angle_squares,
    relu_angle,
    rounded,
    safe_sqrt,
)
from ceflow.kernels.infinite.quadrature import by_quadrature
from ceflow.nets import ACTIVATIONS

Function = Callable[[Array], Array]


def dual(activation: str | Function, moments: Moments) -> Dual:
    """The dual of an activation of the language, or of any elementwise function."""
    if isinstance(activation, str) and activation in DUALS:
        return DUALS[activation](moments)
    function = ACTIVATIONS[activation] if isinstance(activation, str) else activation
    return by_quadrature(function, moments)


def kinked(slope_below: float, moments: Moments) -> Dual:
    """`phi(x) = x` above 0 and `a x` below: ReLU, leaky ReLU, the absolute value, the identity.

    `E[phi phi] = (1 + a^2)/2 sqrt(q1 q2) cos t'`, and `cos t' = w cos t + (1 - w) cos t'_relu` with
    `w = 2a/(1 + a^2)`; `E[phi' phi'] = (1 + a^2)/2 (1 - (1 - w) t/pi)`.
    """
    gain = (1 + slope_below**2) / 2
    w, t = slope_below / gain, moments.angle
    q1, q2 = gain * moments.q1, gain * moments.q2
    after = from_angle(q1, q2, _kinked_angle(w, t))
    return Dual(after, gain * (1 - (1 - w) / jnp.pi * t))


def _kinked_angle(w: float, t: Float[Array, "..."]) -> Float[Array, "..."]:
    if w == 1:
        return t
    if w == 0:
        return relu_angle(t)
    if w == -1:
        t = jnp.minimum(t, jnp.pi - t)  # opposite inputs come out equal
    (s, k), (s_relu, k_relu) = half_angle_squares(t), half_angle_squares(relu_angle(t))
    return angle_of(*(rounded(w * a) + rounded((1 - w) * b) for a, b in ((s, s_relu), (k, k_relu))))


def erf(q1: Array, q2: Array, c: Array, s: Array, k: Array) -> tuple[Array, Array]:
    """`E = 2/pi arcsin(2c/sqrt((1 + 2 q1)(1 + 2 q2)))`, slope `4/(pi sqrt(D))` (Williams 1996).

    `D = (1 + 2 q1)(1 + 2 q2) - 4 c^2 = 1 + 2 (q1 + q2) + 4 q1 q2 sin^2 t`.
    """
    root = jnp.sqrt(1 + 2 * (q1 + q2) + rounded(16 * q1 * q2 * s * k))
    return 2 / jnp.pi * jnp.arctan2(2 * c, root), 4 / jnp.pi / root


def gelu(q1: Array, q2: Array, c: Array, s: Array, k: Array) -> tuple[Array, Array]:
    """Of `x Phi(x)`, by Stein's lemma: with `D = (1 + q1)(1 + q2) - c^2`, `M = 1/(2 pi sqrt(D))`,

    `P = E[Phi Phi] = 1/4 + arcsin(c/sqrt((1 + q1)(1 + q2)))/(2 pi)` and
    `R = 1/(1 + q1) + 1/(1 + q2)`: `E = c P + M (q1 q2 + c^2 (R - 1))`, slope `P + c M (R + 1/D)`.
    """
    d = 1 + (q1 + q2) + rounded(4 * q1 * q2 * s * k)
    p = 0.25 + jnp.arctan2(c, jnp.sqrt(d)) / (2 * jnp.pi)
    m, r = 1 / (2 * jnp.pi * jnp.sqrt(d)), 1 / (1 + q1) + 1 / (1 + q2)
    rest = m * (rounded(q1 * q2) + rounded(c**2 * (r - 1)))
    return rounded(c * p) + rounded(rest), p + rounded(c * m * (r + 1 / d))


def sin(q1: Array, q2: Array, c: Array, s: Array, k: Array) -> tuple[Array, Array]:
    """`E = exp(-(q1 + q2)/2) sinh c`, slope with cosh; no exponent here is above 0."""
    alike = c >= 0
    least = jnp.where(alike, s, k)
    unequal = (safe_sqrt(q1) - safe_sqrt(q2)) ** 2  # + 4 sqrt(q1 q2) least = q1 + q2 - 2 |c|
    scale = jnp.exp(-unequal / 2 - rounded(2 * size(q1, q2) * least)) / 2
    twice = jnp.where(alike, 2 * c, -2 * c)
    value = -scale * jnp.expm1(-twice)
    return jnp.where(alike, value, -value), scale * (1 + jnp.exp(-twice))


def cos(q1: Array, q2: Array, c: Array, s: Array, k: Array) -> tuple[Array, Array]:
    """`E = exp(-(q1 + q2)/2) cosh c`, slope with sinh."""
    slope, value = sin(q1, q2, c, s, k)
    return value, slope


def _smooth(form: Callable[..., tuple[Array, Array]], moments: Moments) -> Dual:
    """The form at the moments, and at those of each Gaussian with itself."""
    q1, q2, t, c, _ = moments
    own1, own2 = (form(q, q, q, jnp.zeros_like(q), jnp.ones_like(q))[0] for q in (q1, q2))
    value, slope = form(q1, q2, c, *half_angle_squares(t))
    return Dual(from_covariance(own1, own2, value), slope)


DUALS: dict[str, Callable[[Moments], Dual]] = {
    "relu": partial(kinked, 0.0),
    "leaky-relu": partial(kinked, 0.01),
    "abs": partial(kinked, -1.0),
    "linear": partial(kinked, 1.0),
    "erf": partial(_smooth, erf),
    "gelu": partial(_smooth, gelu),
    "sin": partial(_smooth, sin),
    "cos": partial(_smooth, cos),
}
"""The closed forms."""

"""Dual activations: what an infinitely wide layer's nonlinearity does to two Gaussians.

Two pre-activations are described by their second moments q1, q2 and the angle t between them
(cos t is their correlation). Angles are carried, not cosines: near 0 and pi a cosine has lost half
of the angle's digits.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float


class Dual(NamedTuple):
    """For a homogeneous activation phi: `gain` = E[phi(z)^2]/E[z^2], the angle of (phi, phi'), and
    `slope` = E[phi'(z1) phi'(z2)], both as functions of the angle."""

    gain: float
    angle: Callable[[Float[Array, "..."]], Float[Array, "..."]]
    slope: Callable[[Float[Array, "..."]], Float[Array, "..."]]


def relu_angle(t: Float[Array, "..."]) -> Float[Array, "..."]:
    """The angle t' after ReLU: `cos t' = (sin t + (pi - t) cos t)/pi`.

    From `1 - cos t' = 2 sin^2(t/2) - (sin t - t cos t)/pi` and the half-angle formula, so that no
    digit is lost near t = 0 and the derivative there is 1, not NaN.
    """
    half = jnp.sinc(t / (2 * math.pi))  # sin(t/2)/(t/2)
    return 2 * jnp.arcsin(t / 2 * jnp.sqrt(half**2 - 2 * t / math.pi * _sine_excess(t)))


def relu_slope(t: Float[Array, "..."]) -> Float[Array, "..."]:
    """`E[1{z1 > 0} 1{z2 > 0}] = (pi - t)/(2 pi)`."""
    return (math.pi - t) / (2 * math.pi)


def _sine_excess(t: Float[Array, "..."]) -> Float[Array, "..."]:
    """`(sin t - t cos t)/t^3`, by its series below 1/2 (8 terms: 3e-18 there)."""
    small = t < 0.5
    square = jnp.where(small, t, 0.0) ** 2
    series = jnp.zeros_like(t)
    for k in range(8, 0, -1):
        series = series * -square + 2 * k / math.factorial(2 * k + 1)
    large = jnp.where(small, 1.0, t)
    return jnp.where(small, series, (jnp.sin(large) - large * jnp.cos(large)) / large**3)


DUALS: dict[str, Dual] = {
    "relu": Dual(0.5, relu_angle, relu_slope),
    "linear": Dual(1.0, lambda t: t, jnp.ones_like),
}

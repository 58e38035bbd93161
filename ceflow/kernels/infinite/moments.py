"""Moments of two Gaussians, as infinitely wide layers pass them on.

Elementwise, over arrays of any shapes that broadcast.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.kernels.infinite.polynomials import (
    angle_of,
    cosine,
    half_angle_squares,
    rounded,
    safe_sqrt,
)


class Moments(NamedTuple):
    """Of two Gaussian pre-activations. What is not asked for is not computed, under `jax.jit`."""

    q1: Float[Array, "..."]
    q2: Float[Array, "..."]
    angle: Float[Array, "..."]
    covariance: Float[Array, "..."]
    error: Float[Array, "..."] | float = 0.0
    """Bound on the error of the covariance, for q1 = q2 and angle 0; 0 for closed forms."""


class Dual(NamedTuple):
    """What an activation phi makes of moments, and the factor it puts on the NTK."""

    moments: Moments
    slope: Float[Array, "..."]
    """`E[phi'(z1) phi'(z2)]`."""
    slope_error: Float[Array, "..."] | float = 0.0


def from_angle(
    q1: Float[Array, "..."], q2: Float[Array, "..."], angle: Float[Array, "..."]
) -> Moments:
    """Moments of which the angle is known."""
    return Moments(q1, q2, angle, rounded(size(q1, q2) * cosine(angle)))


def from_covariance(
    q1: Float[Array, "..."], q2: Float[Array, "..."], covariance: Float[Array, "..."]
) -> Moments:
    """Moments of which the covariance is known; the angle is pi/2 where either is 0."""
    product = size(q1, q2)
    half = covariance / jnp.where(product > 0, 2 * product, 1.0)
    return Moments(q1, q2, angle_of(0.5 - half, 0.5 + half), covariance)


def size(q1: Float[Array, "..."], q2: Float[Array, "..."]) -> Float[Array, "..."]:
    """`sqrt(q1 q2)`. Of the product, not the product of roots: exact where q1 = q2."""
    return safe_sqrt(q1 * q2)


def scaled(moments: Moments, variance: float) -> Moments:
    """The moments after weights of that variance."""
    q1, q2, t, covariance, error = moments
    return Moments(
        rounded(variance * q1),
        rounded(variance * q2),
        t,
        rounded(variance * covariance),
        variance * error,
    )


def biased(moments: Moments, variance: float) -> Moments:
    """The moments with b added to all covariances, as biases of that variance do.

    The new angle without cancellation: with r = sqrt(q), r' = sqrt(q + b), s = sin^2(t/2) and
    `g = r1' r2' - r1 r2 = b (q1 + q2 + b)/(r1' r2' + r1 r2)`,
    `4 r1' r2' s' = 2 (b + g) (r1 - r2)^2/(r1' + r2')^2 + 4 r1 r2 s` and
    `2 r1' r2' (1 - s') = g + 2 r1 r2 (1 - s) + b`: sums of what is positive.
    """
    q1, q2, t, covariance, error = moments
    s, k = half_angle_squares(t)
    new1, new2 = q1 + variance, q2 + variance
    old, new = size(q1, q2), size(new1, new2)
    gap = variance * (q1 + q2 + variance) / (new + old)
    unequal = (safe_sqrt(q1) - safe_sqrt(q2)) ** 2 / (safe_sqrt(new1) + safe_sqrt(new2)) ** 2
    apart = rounded(2 * (variance + gap) * unequal) + rounded(4 * old * s)
    together = gap + rounded(2 * old * k) + variance
    angle = angle_of(apart / (4 * new), together / (2 * new))
    return Moments(new1, new2, angle, covariance + variance, error)

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

MARGIN = 2.0**10
"""How near the least and the largest numbers variances may come."""


class Errors(NamedTuple):
    """Bounds on what rounding, quadrature and series may have done to moments."""

    relative: Float[Array, "..."]
    """Of q."""
    angle: Float[Array, "..."]
    """Of the angle, in radians."""
    variance: Float[Array, "..."]
    """Of q, beside the relative one."""
    covariance: Float[Array, "..."]
    """Of the covariance, beside what those of q and the angle make of it."""


class Moments(NamedTuple):
    """Moments of two Gaussian pre-activations; under `jax.jit` none is computed that is unused."""

    q1: Float[Array, "..."]
    q2: Float[Array, "..."]
    angle: Float[Array, "..."]
    covariance: Float[Array, "..."]
    errors: Errors | None = None
    """Bounds for q1 = q2 and angle 0, where they are largest; followed where there are any."""
    reach: Float[Array, ""] | None = None
    """A bound on all q, where it is known for more pairs than these."""


def is_alone(moments: Moments) -> bool:
    """Tell whether one array is both variances and the covariance, with errors that are followed.

    Then they are of a Gaussian with itself, and half of the work is saved."""
    return moments.errors is not None and moments.q1 is moments.q2 is moments.covariance


class Expectations(NamedTuple):
    """The expectations that a smooth activation phi has over two Gaussians."""

    own1: Float[Array, "..."]
    """`E[phi(z1)^2]`."""
    own2: Float[Array, "..."]
    value: Float[Array, "..."]
    """`E[phi(z1) phi(z2)]`."""
    slope: Float[Array, "..."]
    """`E[phi'(z1) phi'(z2)]`."""


Bounds = tuple[Errors, Float[Array, "..."]]
"""On the errors of the moments after an activation, and of its slope."""


class Dual(NamedTuple):
    """The moments after an activation phi, and the factor it puts on the NTK."""

    moments: Moments
    slope: Float[Array, "..."]
    """`E[phi'(z1) phi'(z2)]`."""
    slope_error: Float[Array, "..."] | float = 0.0


def from_angle(
    q1: Float[Array, "..."], q2: Float[Array, "..."], angle: Float[Array, "..."]
) -> Moments:
    """Make moments of which the angle is known."""
    return Moments(q1, q2, angle, rounded(size(q1, q2) * cosine(angle)))


def from_covariance(
    q1: Float[Array, "..."], q2: Float[Array, "..."], covariance: Float[Array, "..."]
) -> Moments:
    """Make moments of which the covariance is known; the angle is pi/2 where either is 0."""
    product = size(q1, q2)
    half = covariance / jnp.where(product > 0, 2 * product, 1.0)
    return Moments(q1, q2, angle_of(0.5 - half, 0.5 + half), covariance)


def size(q1: Float[Array, "..."], q2: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute `sqrt(q1 q2)`, where the product may be too large or small; exact where q1 = q2."""
    return jnp.where(q1 == q2, (q1 + q2) / 2, rounded(safe_sqrt(q1) * safe_sqrt(q2)))


def scaled(moments: Moments, variance: float | Array) -> Moments:
    """Scale the moments by weights of that variance."""
    q1, q2, t, covariance, errors, reach = moments
    return Moments(
        rounded(variance * q1),
        rounded(variance * q2),
        t,
        rounded(variance * covariance),
        None if errors is None else _after_weights(errors, variance),
        None if reach is None else variance * reach,
    )


def biased(moments: Moments, variance: float | Array) -> Moments:
    """Add b to all covariances of the moments, as biases of that variance do.

    The new angle without cancellation: with r = sqrt(q), r' = sqrt(q + b), s = sin^2(t/2) and
    `g = r1' r2' - r1 r2 = b (q1 + q2 + b)/(r1' r2' + r1 r2)`,
    `4 r1' r2' s' = 2 (b + g) (r1 - r2)^2/(r1' + r2')^2 + 4 r1 r2 s` and
    `2 r1' r2' (1 - s') = g + 2 r1 r2 (1 - s) + b`: sums of what is positive.
    """
    q1, q2, t, covariance, errors, reach = moments
    s, k = half_angle_squares(t)
    new1, new2 = q1 + variance, q2 + variance
    old, new = size(q1, q2), size(new1, new2)
    gap = variance * (q1 + q2 + variance) / (new + old)
    unequal = (safe_sqrt(q1) - safe_sqrt(q2)) ** 2 / (safe_sqrt(new1) + safe_sqrt(new2)) ** 2
    apart = rounded(2 * (variance + gap) * unequal) + rounded(4 * old * s)
    together = gap + rounded(2 * old * k) + variance
    angle = angle_of(apart / (4 * new), together / (2 * new))
    if errors is not None:
        # Lengths that differ by little turn the vectors by little, and their errors as much.
        relative = errors.relative + float(jnp.finfo(q1.dtype).eps)
        errors = errors._replace(relative=relative, angle=errors.angle + 2 * relative)
    reach = None if reach is None else reach + variance
    return Moments(new1, new2, angle, covariance + variance, errors, reach)


def ranged(moments: Moments) -> Moments:
    """Drop the bound on variances nearly too large or too small to be written down."""
    if moments.errors is None:
        return moments
    q, numbers = moments.q1, jnp.finfo(moments.q1.dtype)
    least, largest = float(numbers.tiny) * MARGIN, float(numbers.max) / MARGIN
    held = (q == 0) | ((q >= least) & (q <= largest))
    relative = jnp.where(held, moments.errors.relative, jnp.inf)
    return moments._replace(errors=moments.errors._replace(relative=relative))


def _after_weights(errors: Errors, variance: float | Array) -> Errors:
    relative, angle, of_q, covariance = errors
    relative += 2 * float(jnp.finfo(jnp.asarray(relative).dtype).eps)
    return Errors(relative, angle, variance * of_q, variance * covariance)

"""Moments of pairs of Gaussian pre-activations in infinitely wide networks.

All functions are elementwise over arrays whose shapes broadcast.
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

RANGE_MARGIN = 2.0**10
"""Factor that variances must stay away from the smallest and largest numbers of their type."""


class Errors(NamedTuple):
    """Bounds on errors of moments by rounding, quadrature and truncated series."""

    relative: Float[Array, "..."]
    """Relative error of q."""
    angle: Float[Array, "..."]
    """Error of the angle, in radians."""
    variance: Float[Array, "..."]
    """Absolute error of q, in addition to the relative one."""
    covariance: Float[Array, "..."]
    """Absolute error of the covariance, in addition to that from q and the angle."""


class Moments(NamedTuple):
    """Moments of two Gaussian pre-activations; `jax.jit` drops those that are not used."""

    q1: Float[Array, "..."]
    q2: Float[Array, "..."]
    angle: Float[Array, "..."]
    covariance: Float[Array, "..."]
    errors: Errors | None = None
    """Bounds on errors at q1 = q2 and angle 0, where they are largest; None if not tracked."""
    reach: Float[Array, ""] | None = None
    """Bound on all q, if one is known for more pairs than these."""


def is_alone(moments: Moments) -> bool:
    """Return whether the moments are those of a Gaussian with itself, with tracked errors.

    Then variances and covariance are the same array, and half of the work is saved.
    """
    return moments.errors is not None and moments.q1 is moments.q2 is moments.covariance


class Expectations(NamedTuple):
    """Expectations of a smooth activation phi over two Gaussians z1 and z2."""

    own1: Float[Array, "..."]
    """`E[phi(z1)^2]`."""
    own2: Float[Array, "..."]
    value: Float[Array, "..."]
    """`E[phi(z1) phi(z2)]`."""
    slope: Float[Array, "..."]
    """`E[phi'(z1) phi'(z2)]`."""


Bounds = tuple[Errors, Float[Array, "..."]]
"""Bounds on the errors of the moments after an activation, and of its slope."""


class Dual(NamedTuple):
    """Moments after an activation phi, and the slope, which multiplies the NTK."""

    moments: Moments
    slope: Float[Array, "..."]
    """`E[phi'(z1) phi'(z2)]`."""
    slope_error: Float[Array, "..."] | float = 0.0


def from_angle(
    q1: Float[Array, "..."], q2: Float[Array, "..."], angle: Float[Array, "..."]
) -> Moments:
    """Create moments from variances and the angle."""
    return Moments(q1, q2, angle, rounded(size(q1, q2) * cosine(angle)))


def from_covariance(
    q1: Float[Array, "..."], q2: Float[Array, "..."], covariance: Float[Array, "..."]
) -> Moments:
    """Create moments from variances and the covariance; the angle is pi/2 if a variance is 0."""
    product = size(q1, q2)
    half = covariance / jnp.where(product > 0, 2 * product, 1.0)
    return Moments(q1, q2, angle_of(0.5 - half, 0.5 + half), covariance)


def size(q1: Float[Array, "..."], q2: Float[Array, "..."]) -> Float[Array, "..."]:
    """Compute `sqrt(q1 q2)` without over- or underflow of the product; exact if q1 = q2."""
    return jnp.where(q1 == q2, (q1 + q2) / 2, rounded(safe_sqrt(q1) * safe_sqrt(q2)))


def scaled(moments: Moments, variance: float | Array) -> Moments:
    """Multiply all moments by the variance of weights."""
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
    """Add b, the variance of biases, to the variances and the covariance.

    The new angle is computed without cancellation: with r = sqrt(q), r' = sqrt(q + b),
    s = sin^2(t/2) and
    `g = r1' r2' - r1 r2 = b (q1 + q2 + b)/(r1' r2' + r1 r2)`,
    `4 r1' r2' s' = 2 (b + g) (r1 - r2)^2/(r1' + r2')^2 + 4 r1 r2 s` and
    `2 r1' r2' (1 - s') = g + 2 r1 r2 (1 - s) + b`, sums of positive terms.
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
        # If lengths differ little, the vectors turn little, and so do their errors.
        relative = errors.relative + float(jnp.finfo(q1.dtype).eps)
        errors = errors._replace(relative=relative, angle=errors.angle + 2 * relative)
    reach = None if reach is None else reach + variance
    return Moments(new1, new2, angle, covariance + variance, errors, reach)


def ranged(moments: Moments) -> Moments:
    """Set the error of variances near the limits of their type to infinity: no bound holds."""
    if moments.errors is None:
        return moments
    q, numbers = moments.q1, jnp.finfo(moments.q1.dtype)
    least, largest = float(numbers.tiny) * RANGE_MARGIN, float(numbers.max) / RANGE_MARGIN
    held = (q == 0) | ((q >= least) & (q <= largest))
    relative = jnp.where(held, moments.errors.relative, jnp.inf)
    return moments._replace(errors=moments.errors._replace(relative=relative))


def _after_weights(errors: Errors, variance: float | Array) -> Errors:
    relative, angle, of_q, covariance = errors
    relative += 2 * float(jnp.finfo(jnp.asarray(relative).dtype).eps)
    return Errors(relative, angle, variance * of_q, variance * covariance)

"""Bounds on the errors of infinite-width kernels: rounding, series and integrals, layer by layer.

Errors are tracked for pairs of an example with itself, where they are largest: the error of any
pair is at most the geometric mean of those of its two examples. Bounds are to first order.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.kernels.infinite.moments import Bounds, Errors, Moments
from ceflow.kernels.infinite.polynomials import safe_sqrt

INPUT_EPS = 6
"""Error of the lengths and angles of inputs, in units of eps."""
FORM_EPS = 4
"""Rounding error of a closed form without cancellation, in units of eps."""
ARC_FACTOR = 1.5
"""Constant in `|arccos a - arccos b| <= ARC_FACTOR sqrt(|a - b|)`, valid for differences up to
0.6; larger bounds are capped."""


class Facts(NamedTuple):
    """Properties of an activation phi that bound errors, for u a Gaussian of variance q."""

    bend: Any
    """Bound on the root of `E[phi''(u)^2]`."""
    twist: Any
    """Bound on the root of `E[phi'''(u)^2]`."""
    variation: float = math.inf
    """Total variation of phi'."""
    swing: Any = 1.0
    """Bound on the relative change of phi(u) over that of u."""
    own: Any = 0.0
    """Relative error of the closed form of phi, without rounding."""


def eps_of(q: Float[Array, "..."]) -> float:
    """Return the machine epsilon of an array's type."""
    return float(jnp.finfo(q.dtype).eps)


def started(moments: Moments, covariance: float = 0.0) -> Moments:
    """Add the initial errors to the moments of inputs; `covariance` is in units of eps q."""
    eps, none = eps_of(moments.q1), jnp.zeros_like(moments.q1)
    errors = Errors(
        none + INPUT_EPS * eps,
        none + math.pi * INPUT_EPS * eps,
        none,
        covariance * eps * moments.q1,
    )
    return moments._replace(errors=errors)


def over_largest(errors: Float[Array, "..."], diagonal: Float[Array, "..."]) -> Float[Array, ""]:
    """Bound the largest error relative to the largest exact diagonal entry, from computed entries.

    The result is NaN (unknown) if by the bounds the exact entry may be 0, and infinity if numbers
    are out of the range of their type.
    """
    largest = jnp.max(diagonal)
    found = jnp.max(errors) / jnp.where(largest > 0, largest, 1.0)
    unknown = jnp.where(jnp.isfinite(found), jnp.nan, jnp.inf)
    return jnp.where(found < 1, found / (1 - found), unknown)


def of_covariance(moments: Moments) -> Float[Array, "..."]:
    """Bound the total error of a covariance."""
    assert moments.errors is not None
    relative, angle, variance, covariance = moments.errors
    return moments.q1 * (4 * relative + angle) + variance + covariance


def after_kink(
    gain: float, turn: float, moments: Moments
) -> tuple[Errors | None, Float[Array, "..."] | float]:
    """Bound errors of `gain sqrt(q1 q2) cos t'(t)`, and of the slope `gain (1 - turn t/pi)`.

    An activation with a kink does not increase errors of angles. It multiplies those of covariances
    by `gain`, after adding those of q.
    """
    if moments.errors is None:
        return None, 0.0
    relative, angle, variance, covariance = moments.errors
    eps, lost = eps_of(moments.q1), covariance + variance
    turned = angle + ARC_FACTOR * _root(lost, moments.q1)
    after = Errors(
        relative + 2 * eps,
        angle + math.pi * FORM_EPS * eps,
        gain * variance,
        gain * (covariance + variance),
    )
    slope = gain * (jnp.minimum(abs(turn) / math.pi * turned, abs(turn)) + FORM_EPS * eps)
    return after, slope


def after_bend(
    facts: Facts,
    moments: Moments,
    own: Float[Array, "..."],
    slope: Float[Array, "..."],
    growth: Float[Array, "..."],
    left_out: tuple[Any, Any] = (0.0, 0.0),
) -> Bounds:
    """Bound errors of a smooth activation's `E[phi phi]`, and of its slope `E[phi' phi']`.

    `own` and `slope` are `E[phi^2]` and `E[phi'^2]`, `growth` is the derivative of `own` by q, and
    `left_out` are the absolute errors of both from truncation, besides the relative error
    `facts.own`.

    The derivatives `dE/dc = E[phi' phi']` and `dE/dq = E[phi'' phi]/2` are bounded by the
    Cauchy-Schwarz inequality, or as a change of scale. The same holds for phi'; in addition, its
    expectation changes by at most `variation^2/(2 pi)` times the change of the angle.
    """
    assert moments.errors is not None
    q, (relative, angle, variance, covariance) = moments.q1, moments.errors
    fresh = FORM_EPS * facts.swing * relative + 2 * FORM_EPS * eps_of(q) + facts.own
    moved = covariance + q * angle
    turned = facts.bend**2 * moved + facts.twist * safe_sqrt(slope) * variance
    if math.isfinite(facts.variation):
        by_angle = (
            facts.variation**2
            / (2 * math.pi)
            * (angle + ARC_FACTOR * _root(covariance + variance, q))
        )
        turned = jnp.minimum(turned, by_angle + 4 * slope * _ratio(variance, q))
    by_size = jnp.minimum(
        safe_sqrt(own) * facts.bend * variance, facts.swing * own * _ratio(variance, q)
    )
    after = Errors(
        jnp.zeros_like(q),
        jnp.zeros_like(q),
        jnp.abs(growth) * variance + own * fresh + left_out[0],
        slope * (moved + variance) + by_size + own * fresh + left_out[0],
    )
    of_slope = slope * fresh + turned + left_out[1]
    # The error of a covariance is at most twice the variance.
    after = after._replace(covariance=_capped(after.covariance, own))
    return after, _capped(of_slope, slope)


def _capped(error: Float[Array, "..."], size: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.where(jnp.isfinite(error), jnp.minimum(error, 2 * size), error)


def _ratio(error: Float[Array, "..."], q: Float[Array, "..."]) -> Float[Array, "..."]:
    return error / jnp.where(q > 0, q, 1.0)


def _root(error: Float[Array, "..."], q: Float[Array, "..."]) -> Float[Array, "..."]:
    return safe_sqrt(_ratio(error, q))

"""Bounds on the errors of infinite-width kernels: rounding, series and integrals, layer by layer.

They are followed for an example with itself, where they are largest: the error of any pair is at
most the geometric mean of those of its two examples. To first order in the errors.
"""

import math
from typing import Any, NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.kernels.infinite.moments import Bounds, Errors, Moments
from ceflow.kernels.infinite.polynomials import safe_sqrt

START = 6
"""Units of eps: lengths and angles of inputs, from sums over their entries."""
FEW = 4
"""Units of eps: the roundings of one closed form that has no cancellation."""
ARC = 1.5
"""`|arccos a - arccos b| <= ARC sqrt(|a - b|)`, up to 0.6; beyond, bounds are capped."""


class Facts(NamedTuple):
    """Facts of what an activation does to errors, at each q (of u, a Gaussian of variance q)."""

    bend: Any
    """A bound on the root of `E[phi''(u)^2]`."""
    twist: Any
    """Of `E[phi'''(u)^2]`."""
    variation: float = math.inf
    """The total variation of phi'."""
    swing: Any = 1.0
    """Of the relative change of phi(u) by one of u."""
    own: float = 0.0
    """The relative error of its form, rounding aside."""


def eps_of(q: Float[Array, "..."]) -> float:
    """Give the rounding unit of an array's numbers."""
    return float(jnp.finfo(q.dtype).eps)


def started(moments: Moments, covariance: float = 0.0) -> Moments:
    """Give the moments of inputs their errors; `covariance` in units of eps of q."""
    eps, none = eps_of(moments.q1), jnp.zeros_like(moments.q1)
    errors = Errors(
        none + START * eps, none + math.pi * START * eps, none, covariance * eps * moments.q1
    )
    return moments._replace(errors=errors)


def over_largest(errors: Float[Array, "..."], diagonal: Float[Array, "..."]) -> Float[Array, ""]:
    """Bound the largest error over the largest exact diagonal entry, from the entries as found.

    NaN, for not known, where the exact entry may be 0 for all that the bounds say; infinity where
    the numbers are not held.
    """
    largest = jnp.max(diagonal)
    found = jnp.max(errors) / jnp.where(largest > 0, largest, 1.0)
    unknown = jnp.where(jnp.isfinite(found), jnp.nan, jnp.inf)
    return jnp.where(found < 1, found / (1 - found), unknown)


def of_covariance(moments: Moments) -> Float[Array, "..."]:
    """Bound the error of a covariance, all in all."""
    assert moments.errors is not None
    relative, angle, variance, covariance = moments.errors
    return moments.q1 * (4 * relative + angle) + variance + covariance


def after_kink(
    gain: float, turn: float, moments: Moments
) -> tuple[Errors | None, Float[Array, "..."] | float]:
    """Bound errors of `gain sqrt(q1 q2) cos t'(t)`, and of the slope, `gain (1 - turn t/pi)`.

    Angles after a kink are no further apart than before it, and covariances by `gain`, but those of
    q enter theirs.
    """
    if moments.errors is None:
        return None, 0.0
    relative, angle, variance, covariance = moments.errors
    eps, lost = eps_of(moments.q1), covariance + variance
    turned = angle + ARC * _root(lost, moments.q1)
    after = Errors(
        relative + 2 * eps,
        angle + math.pi * FEW * eps,
        gain * variance,
        gain * (covariance + variance),
    )
    slope = gain * (jnp.minimum(abs(turn) / math.pi * turned, abs(turn)) + FEW * eps)
    return after, slope


def after_bend(
    facts: Facts,
    moments: Moments,
    own: Float[Array, "..."],
    slope: Float[Array, "..."],
    growth: Float[Array, "..."],
    left_out: tuple[Any, Any] = (0.0, 0.0),
) -> Bounds:
    """Bound errors of a smooth activation's `E[phi phi]`, and of its slope.

    `own` and `slope` are `E[phi^2]` and `E[phi'^2]`, `growth` is the derivative of `own` by q, and
    `left_out` what is missing of each beside the relative error of the form.

    `dE/dc = E[phi' phi']` and `dE/dq = E[phi'' phi]/2` by Cauchy and Schwarz, or as a change of
    scale; the same of phi', and of it also that it moves by `variation^2/(2 pi)` times the angle.
    """
    assert moments.errors is not None
    q, (relative, angle, variance, covariance) = moments.q1, moments.errors
    fresh = FEW * facts.swing * relative + 2 * FEW * eps_of(q) + facts.own
    moved = covariance + q * angle
    turned = facts.bend**2 * moved + facts.twist * safe_sqrt(slope) * variance
    if math.isfinite(facts.variation):
        by_angle = (
            facts.variation**2 / (2 * math.pi) * (angle + ARC * _root(covariance + variance, q))
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
    # No covariance is further off than twice the variance.
    after = after._replace(covariance=_capped(after.covariance, own))
    return after, _capped(of_slope, slope)


def _capped(error: Float[Array, "..."], size: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.where(jnp.isfinite(error), jnp.minimum(error, 2 * size), error)


def _ratio(error: Float[Array, "..."], q: Float[Array, "..."]) -> Float[Array, "..."]:
    return error / jnp.where(q > 0, q, 1.0)


def _root(error: Float[Array, "..."], q: Float[Array, "..."]) -> Float[Array, "..."]:
    return safe_sqrt(_ratio(error, q))

"""Activations with a kink at 0 between the positions of images, on unnormalised moments.

These functions are those of `duals.kinked` without an angle before and after: they take the
moments `apart` and `together` of `positions.Between` and return those after the activation. Only
one polynomial is computed, so that they run and compile several times faster.
"""

import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.kernels.infinite.polynomials import angle_between, safe_sqrt


def after_kink(
    slope_below: float, apart: Float[Array, "..."], together: Float[Array, "..."]
) -> tuple[Float[Array, "..."], Float[Array, "..."], Float[Array, "..."]]:
    """Compute `apart` and `together` after `phi(x) = x` above 0 and `a x` below, and its slope.

    With `w = 2a/(1 + a^2)` and t the angle before, the cosine after is
    `cos t' = cos t - 2 (1 - w) g` with `g = (t cos t - sin t)/(2 pi)`, so that
    `sin^2(t'/2) = sin^2(t/2) + (1 - w) g`. The error of the angle t' is a few eps.
    """
    gain = (1 + slope_below**2) / 2
    turn = 1 - slope_below / gain
    if turn == 0:
        return gain * apart, gain * together, jnp.full_like(apart, gain)
    sign = 1.0
    if turn > 1:  # opposite inputs have equal outputs
        sign = jnp.where(together < apart, -1.0, 1.0)
        apart, together = jnp.minimum(apart, together), jnp.maximum(apart, together)
    shift, angle = _shift_and_angle(apart, together)
    closer = apart + turn * shift
    return (
        gain * jnp.where(closer < 0, 0.0, closer),
        gain * (together - turn * shift),
        sign * (gain - (gain * turn / math.pi) * angle),
    )


@jax.custom_jvp
def _shift_and_angle(apart: Array, together: Array) -> tuple[Array, Array]:
    """Compute `(t cos t - sin t)/(2 pi)` times `apart + together`, and the angle t.

    The angle is a quotient, as XLA computes quotients once and not for each use.
    """
    cosine, sine, both = _ratios(apart, together)
    one = jnp.where(both > 0, both, 1.0)
    angle = one * angle_between(sine, cosine) / one
    return both * (angle * cosine - sine) * (0.5 / math.pi), angle


def _ratios(apart: Array, together: Array) -> tuple[Array, Array, Array]:
    """Compute the cosine and sine of the angle, and `apart + together`."""
    both = apart + together
    scale = 1 / jnp.where(both > 0, both, 1.0)
    sine = 2 * safe_sqrt((apart * scale) * (together * scale))
    return (together - apart) * scale, sine, both


@_shift_and_angle.defjvp
def _(primals: tuple[Array, Array], tangents: tuple[Array, Array]) -> Any:
    """Differentiate without the terms that cancel and are infinite near angles of 0 and pi.

    The derivative of the angle is 0 at exactly 0 and pi.
    """
    (apart, together), (d_apart, d_together) = primals, tangents
    shift, angle = _shift_and_angle(apart, together)
    cosine, sine, both = _ratios(apart, together)
    moved = angle * (d_together - d_apart) - sine * (d_apart + d_together)
    turns = sine > 0
    turned = ((1 + cosine) * d_apart - (1 - cosine) * d_together) / jnp.where(turns, both * sine, 1)
    return (shift, angle), (moved * (0.5 / math.pi), jnp.where(turns, turned, 0.0))

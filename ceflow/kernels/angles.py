"""Angles between vectors, to the last digit."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def angles(x1: Float[Array, "n1 d"], x2: Float[Array, "n2 d"]) -> Float[Array, "n1 n2"]:
    """The angle between each row of `x1` and each of `x2`; 0 where one is the zero vector.

    `t = 2 atan2(|u - v|, |u + v|)` of the unit vectors u, v: exact to rounding for equal and
    opposite rows too, where the arccosine of a cosine keeps half of the digits. One row of `x1` at
    a time, so that memory stays at the result's.
    """
    units1, units2 = _unit(x1), _unit(x2)

    def row(u: Float[Array, " d"]) -> Float[Array, " n2"]:
        return 2 * jnp.arctan2(safe_norm(u - units2), safe_norm(u + units2))

    return jax.lax.map(row, units1) * (safe_norm(x1)[:, None] > 0) * (safe_norm(x2) > 0)


def safe_norm(x: Float[Array, "... d"]) -> Float[Array, "..."]:
    """The Euclidean norm along the last axis, with gradient 0 at the zero vector, not NaN."""
    return safe_sqrt((x**2).sum(axis=-1))


def safe_sqrt(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """The square root, with gradient 0 at 0; what rounding made negative counts as 0."""
    positive = x > 0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, x, 1.0)), 0.0)


def _unit(x: Float[Array, "n d"]) -> Float[Array, "n d"]:
    norm = safe_norm(x)[:, None]
    return x / jnp.where(norm > 0, norm, 1.0)

"""Pairs of vectors: lengths, angles, and the direction from one to the other."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ceflow.kernels.infinite.angles import safe_norm


class Pairs(NamedTuple):
    """All pairs of rows x of one batch and x' of another.

    With `ahead = x/|x|` and `aside` the unit vector of the part of x' perpendicular to x,
    `x'/|x'| = cos t ahead + sin t aside`. Where x and x' are parallel there is no such direction,
    and it is 0; so is `ahead` at x = 0.
    """

    one: Float[Array, "n1 1 d"]
    two: Float[Array, "1 n2 d"]
    size1: Float[Array, "n1 1"]
    size2: Float[Array, "1 n2"]
    angle: Float[Array, "n1 n2"]
    cosine: Float[Array, "n1 n2"]
    sine: Float[Array, "n1 n2"]
    ahead: Float[Array, "n1 1 d"]
    aside: Float[Array, "n1 n2 d"]
    alive: Bool[Array, "n1 n2"]
    """Where neither is the zero vector."""


def pairs(one: Float[Array, "n1 d"], two: Float[Array, "n2 d"]) -> Pairs:
    """Pair the vectors, to the last digits at any separation.

    Nearly parallel vectors are subtracted before anything is rounded, nearly opposite ones added.
    """
    x, y = one[:, None], two[None]
    size1, size2 = safe_norm(x), safe_norm(y)
    ahead = _over(x, size1)
    side = jnp.where((x * y).sum(-1) < 0, -1.0, 1.0).astype(x.dtype)[..., None]
    apart = _without(_without(y - side * x, ahead), ahead)  # twice, for what the first rounds off
    away, along = safe_norm(apart), (y * ahead).sum(-1)
    return Pairs(
        x,
        y,
        size1,
        size2,
        jnp.arctan2(away, along),
        _ratio(along, size2),
        _ratio(away, size2),
        ahead,
        jnp.where(size1[..., None] > 0, _over(apart, away), 0.0),
        (size1 > 0) & (size2 > 0),
    )


def _without(y: Float[Array, "n1 n2 d"], unit: Float[Array, "n1 1 d"]) -> Float[Array, "n1 n2 d"]:
    return y - (y * unit).sum(-1, keepdims=True) * unit


def _over(x: Float[Array, "... d"], size: Float[Array, "..."]) -> Float[Array, "... d"]:
    return _ratio(x, size[..., None])


def _ratio(x: Array, y: Array) -> Array:
    """Divide x by y, with 0 where both are 0."""
    return x / jnp.where(y > 0, y, 1.0)

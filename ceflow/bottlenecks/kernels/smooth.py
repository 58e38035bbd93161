"""Derivatives of the decoder's kernels for smooth activations, by automatic differentiation.

Let `q1 = |x|^2`, `q2 = |x'|^2`, `c = x.x'` and `F(q1, q2, c) = E[phi phi]`, `S = dF/dc = E[phi'
phi']` and `K = F + c S`. By the chain rule, `d/dx = 2x d/dq1 + x' d/dc`.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.kernels.infinite.duals import by_covariance

Activation = str | Callable[[Array], Array]
Of = Callable[..., Array]
"""An elementwise function of q1, q2 and c."""


def nngp_slope(one: Array, two: Array, activation: Activation) -> Float[Array, "n1 n2 d"]:
    """Compute `dSigma/dx' = 2 F_q2 x' + S x`."""
    value, slope = expectations(activation)
    at = _moments(one, two)
    return 2 * _by(1, value)(*at)[..., None] * two[None] + slope(*at)[..., None] * one[:, None]


def nngp_mixed(one: Array, two: Array, activation: Activation) -> Float[Array, "n1 n2 d d"]:
    """Compute `d2 Sigma/(dx dx')`; the last axes are those of x and x'."""
    value, slope = expectations(activation)
    at, unit = _moments(one, two), jnp.eye(one.shape[1], dtype=one.dtype)
    x = jnp.broadcast_to(one[:, None], (len(one), *two.shape))
    y = jnp.broadcast_to(two[None], x.shape)

    def term(factor: float, of: Of, a: Array, b: Array) -> Array:
        return factor * of(*at)[..., None, None] * a[..., :, None] * b[..., None, :]

    return (
        slope(*at)[..., None, None] * unit
        + term(1, _by(2, slope), y, x)
        + term(2, _by(1, slope), y, y)
        + term(2, _by(0, slope), x, x)
        + term(4, _by(0, _by(1, value)), x, y)
    )


def ntk_slope(one: Array, two: Array, activation: Activation) -> Float[Array, "n1 n2 d"]:
    """Compute `Xi = 2 K_q1 x + K_c x'`."""
    value, slope = expectations(activation)
    at = _moments(one, two)

    def ntk(q1: Array, q2: Array, c: Array) -> Array:
        return value(q1, q2, c) + c * slope(q1, q2, c)

    own, other = _by(0, ntk)(*at), _by(2, ntk)(*at)
    return 2 * own[..., None] * one[:, None] + other[..., None] * two[None]


def expectations(activation: Activation) -> tuple[Of, Of]:
    """Return the functions `E[phi phi]` and `E[phi' phi']` of q1, q2 and c."""

    def value(q1: Array, q2: Array, c: Array) -> Array:
        return by_covariance(activation, q1, q2, c).value

    def slope(q1: Array, q2: Array, c: Array) -> Array:
        return by_covariance(activation, q1, q2, c).slope

    return value, slope


def _moments(one: Float[Array, "n1 d"], two: Float[Array, "n2 d"]) -> tuple[Array, Array, Array]:
    products = jnp.matmul(one, two.T, precision=jax.lax.Precision.HIGHEST)
    return (one**2).sum(1)[:, None], (two**2).sum(1)[None], products


def _by(index: int, of: Of) -> Of:
    """Return the derivative of an elementwise function by one argument."""

    def derivative(*at: Array) -> Array:
        def along(value: Array) -> Array:
            return of(*at[:index], value, *at[index + 1 :])

        return jax.jvp(along, (at[index],), (jnp.ones_like(at[index]),))[1]

    return derivative

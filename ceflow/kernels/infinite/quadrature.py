"""Dual activations of any function, by the Hermite series of its Gaussian expectations.

With the orthonormal Hermite polynomials He_k/sqrt(k!) and `h_k(q) = E[phi(sqrt(q) z) He_k(z)] /
sqrt(k!)`, `E[phi(z1) phi(z2)] = sum_k h_k(q1) h_k(q2) rho^k` (Mehler). The coefficients are of each
example, so a pair costs a polynomial, not an integral. What the series leaves out after K terms is
known (Parseval): at most the root of `E[phi^2] - sum_k h_k^2` of both.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ceflow.kernels.infinite.angles import MULTIPLE
from ceflow.kernels.infinite.moments import Dual, Moments, from_covariance, size
from ceflow.kernels.infinite.polynomials import rounded, safe_sqrt

TERMS = {"float32": 64, "float64": 192}
"""K. The terms fall off as exp(-a sqrt(8k/q)) where phi is analytic for |Im z| < a."""
SPACING, REACH = 1 / 32, 13
"""Of the trapezoid rule, exponentially accurate for analytic phi; exp(-13^2/2) = 2e-37."""
UNROLLED = 16
ROUNDING = 16
"""Units of eps that are added to the error of every series."""


class _Series(NamedTuple):
    """Hermite coefficients of one function at each q, their sum of squares, and its error."""

    terms: Float[Array, "... K"]
    square: Float[Array, "..."]
    """`E[phi^2]`."""
    error: Float[Array, "..."]
    """Of the series at rho = 1 and equal q: what it leaves out, and the integrals' own."""


def by_quadrature(function: Callable[[Array], Array], moments: Moments) -> Dual:
    """The dual of an elementwise function that JAX can differentiate.

    Of the covariance's error a share at most `E[phi'^2]` is passed on, and to the slope at most the
    slope of its own series. Every bound is largest on the diagonal, and is given for it.
    """
    q1, q2, _, covariance, error = moments
    product = size(q1, q2)
    rho = covariance / jnp.where(product > 0, product, 1.0)
    (value1, slope1), (value2, slope2) = _series_of(function, q1), _series_of(function, q2)
    after = from_covariance(value1.square, value2.square, _sum(value1.terms, value2.terms, rho))
    return Dual(
        after._replace(error=value1.error + (slope1.square + slope1.error) * error),
        _sum(slope1.terms, slope2.terms, rho),
        slope1.error + _steepness(slope1.terms, q1) * error,
    )


def _series_of(function: Callable[[Array], Array], q: Float[Array, "..."]) -> tuple[_Series, ...]:
    """Of phi and of phi', at so many q at once that their bits do not depend on how many there are.

    Raises `ValueError` for a function that is not elementwise.
    """
    nodes = jnp.asarray(_nodes(), q.dtype)

    def chunk(q: Float[Array, " n"]) -> tuple[_Series, ...]:
        z = safe_sqrt(q)[:, None] * nodes
        both = jax.jvp(function, (z,), (jnp.ones_like(z),))
        if both[0].shape != z.shape:
            raise ValueError(
                f"an activation must be elementwise, but of an array of shape {z.shape} this one"
                f" made {both[0].shape}; write it with jax.numpy, for arrays of any shape"
            )
        return tuple(map(_series, both))

    chunks = jnp.pad(q.reshape(-1), (0, -q.size % MULTIPLE)).reshape(-1, MULTIPLE)
    return jax.tree.map(
        lambda each: each.reshape(-1, *each.shape[2:])[: q.size].reshape(*q.shape, *each.shape[2:]),
        jax.lax.map(chunk, chunks),
    )


def _series(values: Float[Array, "n nodes"]) -> _Series:
    table = jnp.asarray(_weights(TERMS[values.dtype.name]), values.dtype)
    terms, square = _integrals(values, table)
    coarse_terms, coarse_square = _integrals(values[..., ::2], 2 * table[::2])
    rounding = ROUNDING * jnp.finfo(values.dtype).eps * square
    left_out = jnp.abs(square - (terms**2).sum(-1)) + rounding
    apart = 2 * safe_sqrt(square * ((terms - coarse_terms) ** 2).sum(-1))
    return _Series(terms, square, left_out + apart + jnp.abs(square - coarse_square))


def _integrals(values: Float[Array, "... nodes"], table: Float[Array, "nodes K"]):
    terms = jnp.matmul(values, table, precision=jax.lax.Precision.HIGHEST)
    # Behind a barrier, for a product that is transposed has other bits.
    return jax.lax.optimization_barrier((terms, (values**2 * table[:, 0]).sum(-1)))


def _sum(
    terms1: Float[Array, "... K"], terms2: Float[Array, "... K"], rho: Float[Array, "..."]
) -> Float[Array, "..."]:
    """`sum_k a_k b_k rho^k` by Horner's rule, from the last term."""

    def step(total: Array, terms: tuple[Array, Array]) -> tuple[Array, None]:
        return total * rho + rounded(terms[0] * terms[1]), None

    terms = (jnp.moveaxis(terms1, -1, 0), jnp.moveaxis(terms2, -1, 0))
    return jax.lax.scan(step, jnp.zeros_like(rho), terms, reverse=True, unroll=UNROLLED)[0]


def _steepness(terms: Float[Array, "... K"], q: Float[Array, "..."]) -> Float[Array, "..."]:
    """The largest derivative of the series by the covariance: `sum_k k a_k^2 / q`."""
    weighted = (jnp.arange(terms.shape[-1]) * terms**2).sum(-1)
    return weighted / jnp.where(q > 0, q, 1.0)


@cache
def _nodes() -> Float[np.ndarray, " nodes"]:
    """An odd number, 0 in the middle: every second node is a rule of twice the spacing."""
    count = round(REACH / SPACING)
    return SPACING * np.arange(-count, count + 1)


@cache
def _weights(terms: int) -> Float[np.ndarray, "nodes K"]:
    """Of `E[f(z) He_k(z)]/sqrt(k!)`, from f at the nodes; by the stable three-term recurrence."""
    z = _nodes()
    columns = [SPACING * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)]
    columns.append(z * columns[0])
    for k in range(1, terms - 1):
        columns.append((z * columns[k] - math.sqrt(k) * columns[k - 1]) / math.sqrt(k + 1))
    return np.stack(columns, axis=1)

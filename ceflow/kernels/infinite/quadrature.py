"""Gaussian expectations of any activation, by Hermite series.

With the orthonormal Hermite polynomials He_k/sqrt(k!) and `h_k(q) = E[phi(sqrt(q) z) He_k(z)] /
sqrt(k!)`, `E[phi(z1) phi(z2)] = sum_k h_k(q1) h_k(q2) rho^k` (Mehler). The coefficients
depend on one example only, so that a pair costs a polynomial, not an integral. The truncation error
after K terms is known (Parseval): at most the geometric mean of `E[phi^2] - sum_k h_k^2` of both
examples.
"""

import math
from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ceflow.kernels.infinite.angles import ROW_MULTIPLE
from ceflow.kernels.infinite.errors import Facts, after_bend
from ceflow.kernels.infinite.moments import Bounds, Expectations, Moments, is_alone, size
from ceflow.kernels.infinite.polynomials import rounded, safe_sqrt

SERIES_TERMS = {"float32": 96, "float64": 192}
"""Number K of terms of the series, by type. Squares of terms decay like exp(-2a sqrt(k/q)) if phi
is analytic for |Im z| < a."""
SPACING, HALF_WIDTH = 1 / 16, 13
"""Spacing and half-width of the trapezoid rule's nodes; the rule is exponentially accurate for
analytic phi, and exp(-13^2/2) = 2e-37."""
UNROLLED_STEPS = 16
"""Steps of Horner's rule per iteration of the compiled loop."""
SERIES_EPS = 16
"""Rounding error that is added to the error of every series, in units of eps."""


class _Series(NamedTuple):
    """Hermite coefficients of a function phi at each variance q, with an error bound."""

    terms: Float[Array, "... K"]
    square: Float[Array, "..."]
    """`E[phi^2]`."""
    error: Float[Array, "..."]
    """Error of the series at rho = 1 and equal q: from truncation and from the integrals."""


class _Both(NamedTuple):
    """Hermite series of phi and of phi' at each variance q."""

    value: _Series
    slope: _Series
    turn: Float[Array, "..."]
    """`E[u phi phi']`, u of variance q."""
    swing: Float[Array, "..."]
    """Root of `E[(u phi')^2]`."""


def by_quadrature(
    function: Callable[[Array], Array], moments: Moments, facts: Facts | None = None
) -> tuple[Expectations, Bounds | None]:
    """Compute the expectations of an elementwise function that JAX can differentiate.

    Bounds on errors are returned if the moments have errors. If `facts` are given, the function is
    analytic in a wide enough strip, and the integrals count as exact. Otherwise they are compared
    with integrals at twice the spacing.
    """
    q1, q2, _, covariance, errors, _ = moments
    if is_alone(moments):
        (one,) = _both_of(function, (q1,), facts is None)
        value, slope = ((each.terms**2).sum(-1) for each in (one.value, one.slope))
        found = Expectations(one.value.square, one.value.square, value, slope)
    else:
        product = size(q1, q2)
        rho = covariance / jnp.where(product > 0, product, 1.0)
        one, two = _both_of(function, (q1, q2), facts is None)
        found = Expectations(
            one.value.square,
            two.value.square,
            _sum(one.value.terms, two.value.terms, rho),
            _sum(one.slope.terms, two.slope.terms, rho),
        )
    if errors is None:
        return found, None
    known = _facts(one, q1) if facts is None else facts._replace(own=0.0)
    growth = one.turn / jnp.where(q1 > 0, q1, 1.0)
    own, left_out = (one.value.square, one.slope.square), (one.value.error, one.slope.error)
    return found, after_bend(known, moments, *own, growth, left_out)


def expansion(function: Callable[[Array], Array], q: Float[Array, "..."]) -> tuple[_Both, Facts]:
    """Expand an elementwise function for Gaussians of variance q; return facts of it, too."""
    (both,) = _both_of(function, (q,), False)
    return both, _facts(both, q)


def _facts(both: _Both, q: Float[Array, "..."]) -> Facts:
    """Compute facts from the series, as `E[phi''^2] = sum_k k a_k^2/q` with a_k those of phi'."""
    k, squares = jnp.arange(both.slope.terms.shape[-1]), both.slope.terms**2
    q, own = (jnp.where(each > 0, each, 1.0) for each in (q, both.value.square))
    bend, twist = (safe_sqrt((factor * squares).sum(-1)) for factor in (k, k * (k - 1)))
    return Facts(bend / jnp.sqrt(q), twist / q, swing=1 + both.swing / jnp.sqrt(own))


def _both_of(
    function: Callable[[Array], Array], variances: tuple[Array, ...], compared: bool
) -> list[_Both]:
    """Expand phi and phi' at each of the variances, in chunks of a fixed size.

    So the results do not depend on the number of variances or on the surrounding program, bit for
    bit. Raises `ValueError` for a function that is not elementwise.
    """
    dtype = variances[0].dtype
    nodes = jnp.asarray(_nodes(SPACING / (2 if compared else 1)), dtype)
    weights = _weights(SERIES_TERMS[dtype.name], SPACING / (2 if compared else 1))

    def chunk(q: Float[Array, " n"]) -> _Both:
        z = safe_sqrt(q)[:, None] * nodes
        value, slope = jax.jvp(function, (z,), (jnp.ones_like(z),))
        if value.shape != z.shape:
            raise ValueError(
                f"an activation must be elementwise, but for an array of shape {z.shape} this one"
                f" returned {value.shape}; write it with jax.numpy, for arrays of any shape"
            )
        table = jnp.asarray(weights, q.dtype)
        turn, swing = (
            (each * table[:, 0]).sum(-1) for each in (z * value * slope, (z * slope) ** 2)
        )
        one, two = (_series(each, table, compared) for each in (value, slope))
        return _Both(one, two, turn, safe_sqrt(swing))

    every = jnp.concatenate([q.reshape(-1) for q in variances])
    chunks = jnp.pad(every, (0, -every.size % ROW_MULTIPLE)).reshape(-1, ROW_MULTIPLE)
    found = jax.lax.map(chunk, chunks)
    ends = np.cumsum([q.size for q in variances])

    def part(q: Array, end: int) -> _Both:
        return jax.tree.map(
            lambda each: each.reshape(-1, *each.shape[2:])[end - q.size : end].reshape(
                *q.shape, *each.shape[2:]
            ),
            found,
        )

    return [part(q, int(end)) for q, end in zip(variances, ends, strict=True)]


def _series(values: Float[Array, "n nodes"], table: Array, compared: bool) -> _Series:
    terms, square = _integrals(values, table)
    rounding = SERIES_EPS * jnp.finfo(values.dtype).eps * square
    left_out = jnp.abs(square - (terms**2).sum(-1)) + rounding
    if not compared:
        return _Series(terms, square, left_out)
    coarse_terms, coarse_square = _integrals(values[..., ::2], 2 * table[::2])
    apart = 2 * safe_sqrt(square * ((terms - coarse_terms) ** 2).sum(-1))
    return _Series(terms, square, left_out + apart + jnp.abs(square - coarse_square))


def _integrals(values: Float[Array, "... nodes"], table: Float[Array, "nodes K"]):
    terms = jnp.matmul(values, table, precision=jax.lax.Precision.HIGHEST)
    # The barrier keeps XLA from transposing the product, which would change the last bits.
    return jax.lax.optimization_barrier((terms, (values**2 * table[:, 0]).sum(-1)))


def _sum(
    terms1: Float[Array, "... K"], terms2: Float[Array, "... K"], rho: Float[Array, "..."]
) -> Float[Array, "..."]:
    """Compute `sum_k a_k b_k rho^k` by Horner's rule."""

    def step(total: Array, terms: tuple[Array, Array]) -> tuple[Array, None]:
        return total * rho + rounded(terms[0] * terms[1]), None

    terms = (jnp.moveaxis(terms1, -1, 0), jnp.moveaxis(terms2, -1, 0))
    return jax.lax.scan(step, jnp.zeros_like(rho), terms, reverse=True, unroll=UNROLLED_STEPS)[0]


@cache
def _nodes(spacing: float) -> Float[np.ndarray, " nodes"]:
    """Return an odd number of nodes around 0; every second one is the rule at twice the spacing."""
    count = round(HALF_WIDTH / spacing)
    return spacing * np.arange(-count, count + 1)


@cache
def _weights(terms: int, spacing: float) -> Float[np.ndarray, "nodes K"]:
    """Compute the weights of f at the nodes in `E[f(z) He_k(z)]/sqrt(k!)`.

    The polynomials come from their stable three-term recurrence.
    """
    z = _nodes(spacing)
    columns = [spacing * np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)]
    columns.append(z * columns[0])
    for k in range(1, terms - 1):
        columns.append((z * columns[k] - math.sqrt(k) * columns[k - 1]) / math.sqrt(k + 1))
    return np.stack(columns, axis=1)

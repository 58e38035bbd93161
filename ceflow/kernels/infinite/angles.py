"""Angles between vectors, accurate to rounding, from matrix products."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ceflow.kernels.infinite.polynomials import angle_of, rounded, safe_sqrt
from ceflow.kernels.pieces import mapped

HEAD_PLACES = {"float32": 11, "float64": 26}
"""Binary places kept in the head of a unit vector, by type. Products of two heads are multiples of
4^-places, so that their sums up to 2 are exact in any order."""
NEAR_ANGLE = {"float32": 2.0**-6, "float64": 2.0**-20}
"""Angle below which matrix products are too inaccurate, by type: their error, some 1e-3 (1e-7) eps
by the split, is divided by the angle."""
ROW_MULTIPLE = 64
"""Divisor of numbers of rows: then XLA's CPU products round an entry the same in any matrix."""
CHUNK_PAIRS = 512
"""Number of near pairs whose differences are computed at once."""


class Rows(NamedTuple):
    """Vectors as `|x| (head + tail)`, where the head is rounded to `HEAD_PLACES` binary places."""

    head: Float[Array, "n d"]
    tail: Float[Array, "n d"]
    defect: Float[Array, " n"]
    """`|head + tail|^2 - 1`, which is not 0 as the length is rounded."""
    square: Float[Array, " n"]
    """`|x|^2`."""


def rows(x: Float[Array, "n d"]) -> Rows:
    """Split each row into head and tail, which together have 1.5 times as many digits as x.

    The result for a row does not depend on the other rows, bit for bit, if their number is a
    multiple of 64: rows are split 64 at a time, as XLA's order of summation depends on the shape.
    """
    if len(x) % ROW_MULTIPLE:
        return _split(x)
    return mapped(_split, x, ROW_MULTIPLE)


def _split(x: Float[Array, "n d"]) -> Rows:
    """Split 64 rows; the length is split too, into parts whose products with the head are exact."""
    norm = safe_norm(x)[:, None]
    divisor = jnp.where(norm > 0, norm, 1.0)
    places = HEAD_PLACES[x.dtype.name]
    head = jnp.round(x / divisor * 2.0**places) / 2.0**places  # gradient: all by the tail
    coarse = _coarse(divisor, places)
    tail = ((x - coarse * head) - rounded((divisor - coarse) * head)) / divisor
    excess = ((head**2).sum(axis=1) - 1) + rounded(tail * (2 * head + tail)).sum(axis=1)
    defect = jnp.where(norm[:, 0] > 0, excess, 0.0)
    return Rows(head, tail, defect, norm[:, 0] ** 2 * (1 + defect))


def _coarse(x: Float[Array, "..."], places: int) -> Float[Array, "..."]:
    """Round `x` to `places` binary places after the leading one."""
    exponent_bits = jnp.finfo(x.dtype).nexp
    return jax.lax.stop_gradient(jax.lax.reduce_precision(x, exponent_bits, places))


def angles(one: Rows, two: Rows, same: Bool[Array, "n1 n2"] | None = None) -> Float[Array, "n1 n2"]:
    """Compute the angles between all rows of `one` and `two`; 0 if either is the zero vector.

    Uses `4 sin^2(t/2) = |u - v|^2` and `4 cos^2(t/2) = |u + v|^2` of the unit vectors, computed
    from a Gram matrix whose leading part is exact, or from differences if vectors are nearly equal
    or opposite. `same` marks pairs that are the same vector, whose angle is 0. Bit for bit, the
    result is symmetric in u and v, and the same in any block if the numbers of rows are multiples
    of 64.
    """
    differ = jnp.ones((), bool) if same is None else ~same
    differ &= (one.square > 0)[:, None] & (two.square > 0)
    s, k = (_in_double if one.head.dtype == jnp.float32 else _by_products)(one, two)
    near = (jnp.minimum(s, k) < NEAR_ANGLE[s.dtype.name] ** 2 / 4) & differ
    s, k = jax.lax.cond(near.any(), by_differences, lambda *given: given[3:], one, two, near, s, k)
    return angle_of(jnp.where(differ, s, 0.0), jnp.where(differ, k, 1.0))


def _by_products(one: Rows, two: Rows) -> tuple[Array, Array]:
    """Compute `sin^2(t/2)` and `cos^2(t/2)` from products of heads and tails.

    In `u.v = head.head' + (head + tail/2).tail' + tail.(head' + tail'/2)`, the first product is
    exact and the others are small, so that the error of `1 - u.v` is relative to itself.
    """
    heads = _product(one.head, two.head)
    tails = _product(one.head + one.tail / 2, two.tail) + _product(
        one.tail, two.head + two.tail / 2
    )
    correction = rounded((heads + tails) * (one.defect[:, None] + two.defect) / 2)
    return ((1 - heads) - tails + correction) / 2, ((1 + heads) + tails - correction) / 2


@jax.custom_jvp
def _in_double(one: Rows, two: Rows) -> tuple[Array, Array]:
    """Compute the same for float32 from one product in float64.

    This costs as much as two float32 products, instead of three, and also works if 64-bit floats
    are disabled in JAX. Its derivative then could not be in float64, so a float32 product is
    differentiated instead.
    """
    with jax.enable_x64(True):
        cosine = _product(_unit(one), _unit(two))
        return ((1 - cosine) / 2).astype(jnp.float32), ((1 + cosine) / 2).astype(jnp.float32)


def _unit(part: Rows) -> Float[Array, "n d"]:
    head, tail, defect, _ = (each.astype(jnp.float64) for each in part)
    return (head + tail) * (1 - defect / 2)[:, None]


@_in_double.defjvp
def _(primals: tuple[Rows, Rows], tangents: tuple[Rows, Rows]) -> Any:
    (u, v), (du, dv) = ([part.head + part.tail for part in pair] for pair in (primals, tangents))
    change = (_product(du, v) + _product(u, dv)) / 2
    return _in_double(*primals), (-change, change)


def by_differences(one: Rows, two: Rows, near: Array, s: Array, k: Array) -> tuple[Array, Array]:
    """Replace `s = |u - v|^2/4` and `k = |u + v|^2/4` of the near pairs by direct differences.

    The near pairs are collected and processed in chunks, as many as there are near pairs.
    """
    count = -(-near.size // CHUNK_PAIRS) * CHUNK_PAIRS
    i, j = (
        index.reshape(-1, CHUNK_PAIRS) for index in jnp.nonzero(near, size=count, fill_value=-1)
    )

    def squares(i: Array, j: Array) -> tuple[Array, Array]:
        (h1, t1), (h2, t2) = (one.head[i], one.tail[i]), (two.head[j], two.tail[j])
        apart, together = (h1 - h2) + (t1 - t2), (h1 + h2) + (t1 + t2)
        return rounded(apart**2).sum(axis=1) / 4, rounded(together**2).sum(axis=1) / 4

    def none(i: Array, j: Array) -> tuple[Array, Array]:
        return jnp.zeros(CHUNK_PAIRS, s.dtype), jnp.zeros(CHUNK_PAIRS, s.dtype)

    found = jax.lax.map(lambda pair: jax.lax.cond(pair[0][0] >= 0, squares, none, *pair), (i, j))
    place = jnp.cumsum(near.reshape(-1)).reshape(near.shape) - 1
    apart, together = (each.reshape(-1)[place] for each in found)
    return jnp.where(near, apart, s), jnp.where(near, together, k)


def _product(a: Float[Array, "n1 d"], b: Float[Array, "n2 d"]) -> Float[Array, "n1 n2"]:
    # Full precision on any device, as some round the operands to bfloat16. Not `jnp.matmul` or
    # `vmap`, which request a result type and fail if float64 is disabled.
    return jax.lax.dot_general(a, b, (((1,), (1,)), ((), ())), precision=jax.lax.Precision.HIGHEST)


def safe_norm(x: Float[Array, "... d"]) -> Float[Array, "..."]:
    """Compute the Euclidean norm along the last axis; its gradient at 0 is 0, not NaN."""
    return safe_sqrt(rounded(x**2).sum(axis=-1))

"""Angles between vectors, to the last digit, from matrix products."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from ceflow.kernels.infinite.polynomials import angle_of, rounded, safe_sqrt
from ceflow.kernels.pieces import mapped

HEAD = {"float32": 11, "float64": 26}
"""Binary places of a unit vector's head. Products of two heads are multiples of 4^-places, and
sums of them below 2 are exact in any order."""
NEAR = {"float32": 2.0**-6, "float64": 2.0**-20}
"""Below this angle a matrix product is not enough: its error there, some 1e-3 (1e-7) of an ulp of
1 by the split, is divided by the angle."""
MULTIPLE = 64
"""Of rows: XLA's CPU products then give an entry the same bits in matrices of any size."""
CHUNK = 512
"""Near pairs whose differences are taken at once."""


class Rows(NamedTuple):
    """Vectors as `|x| (head + tail)`: the head rounded to a few places, the tail what is left."""

    head: Float[Array, "n d"]
    tail: Float[Array, "n d"]
    defect: Float[Array, " n"]
    """`|head + tail|^2 - 1`, from rounding the length."""
    square: Float[Array, " n"]
    """`|x|^2`."""


def rows(x: Float[Array, "n d"]) -> Rows:
    """Split each row so that head + tail has half as many digits again as x.

    A row has the same bits among any others, if their number is a multiple of 64: it is 64 rows
    that are compiled, for XLA adds in an order that depends on the shape.
    """
    if len(x) % MULTIPLE:
        return _split(x)
    return mapped(_split, x, MULTIPLE)


def _split(x: Float[Array, "n d"]) -> Rows:
    """Split the length too, into parts whose products with the head are exact."""
    norm = safe_norm(x)[:, None]
    divisor = jnp.where(norm > 0, norm, 1.0)
    places = HEAD[x.dtype.name]
    head = jnp.round(x / divisor * 2.0**places) / 2.0**places  # no gradient: the tail has it all
    coarse = _coarse(divisor, places)
    tail = ((x - coarse * head) - rounded((divisor - coarse) * head)) / divisor
    excess = ((head**2).sum(axis=1) - 1) + rounded(tail * (2 * head + tail)).sum(axis=1)
    defect = jnp.where(norm[:, 0] > 0, excess, 0.0)
    return Rows(head, tail, defect, norm[:, 0] ** 2 * (1 + defect))


def _coarse(x: Float[Array, "..."], places: int) -> Float[Array, "..."]:
    """Round `x` to so many binary places after the leading one."""
    exponent_bits = jnp.finfo(x.dtype).nexp
    return jax.lax.stop_gradient(jax.lax.reduce_precision(x, exponent_bits, places))


def angles(one: Rows, two: Rows, same: Bool[Array, "n1 n2"] | None = None) -> Float[Array, "n1 n2"]:
    """Compute the angle between each of `one` and each of `two`; 0 where one is the zero vector.

    From `4 sin^2(t/2) = |u - v|^2` and `4 cos^2(t/2) = |u + v|^2` of the unit vectors, by a Gram
    product that is exact where it matters; pairs close to equal or opposite by differences. `same`
    says which pairs are one vector: their angle is 0. The same bits for (v, u) as for (u, v), and
    in any block, if the numbers of rows are multiples of 64.
    """
    differ = jnp.ones((), bool) if same is None else ~same
    differ &= (one.square > 0)[:, None] & (two.square > 0)
    s, k = (_in_double if one.head.dtype == jnp.float32 else _by_products)(one, two)
    near = (jnp.minimum(s, k) < NEAR[s.dtype.name] ** 2 / 4) & differ
    s, k = jax.lax.cond(near.any(), by_differences, lambda *given: given[3:], one, two, near, s, k)
    return angle_of(jnp.where(differ, s, 0.0), jnp.where(differ, k, 1.0))


def _by_products(one: Rows, two: Rows) -> tuple[Array, Array]:
    """Use `u.v = head.head' + (head + tail/2).tail' + tail.(head' + tail'/2)`.

    The first is exact and the others are small. `1 - u.v` has its rounding relative to itself.
    """
    heads = _product(one.head, two.head)
    tails = _product(one.head + one.tail / 2, two.tail) + _product(
        one.tail, two.head + two.tail / 2
    )
    correction = rounded((heads + tails) * (one.defect[:, None] + two.defect) / 2)
    return ((1 - heads) - tails + correction) / 2, ((1 + heads) + tails - correction) / 2


@jax.custom_jvp
def _in_double(one: Rows, two: Rows) -> tuple[Array, Array]:
    """Use one product in float64 for float32, which costs two of float32 and not three.

    In float64 also where JAX is set to do without. What follows from it in JAX, a derivative or
    its transpose, would not be: the derivative is therefore that of a product in float32.
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
    """Compute `s = |u - v|^2/4` and `k = |u + v|^2/4` of the near pairs; leave the others.

    The near pairs are lined up and taken a chunk at a time, and only as many chunks as there are.
    """
    count = -(-near.size // CHUNK) * CHUNK
    i, j = (index.reshape(-1, CHUNK) for index in jnp.nonzero(near, size=count, fill_value=-1))

    def squares(i: Array, j: Array) -> tuple[Array, Array]:
        (h1, t1), (h2, t2) = (one.head[i], one.tail[i]), (two.head[j], two.tail[j])
        apart, together = (h1 - h2) + (t1 - t2), (h1 + h2) + (t1 + t2)
        return rounded(apart**2).sum(axis=1) / 4, rounded(together**2).sum(axis=1) / 4

    def none(i: Array, j: Array) -> tuple[Array, Array]:
        return jnp.zeros(CHUNK, s.dtype), jnp.zeros(CHUNK, s.dtype)

    found = jax.lax.map(lambda pair: jax.lax.cond(pair[0][0] >= 0, squares, none, *pair), (i, j))
    place = jnp.cumsum(near.reshape(-1)).reshape(near.shape) - 1
    apart, together = (each.reshape(-1)[place] for each in found)
    return jnp.where(near, apart, s), jnp.where(near, together, k)


def _product(a: Float[Array, "n1 d"], b: Float[Array, "n2 d"]) -> Float[Array, "n1 n2"]:
    # In full precision on any device: some would round the operands to bfloat16. `jnp.matmul` asks
    # for a type of the result, and `vmap` would ask again, where there may be no float64.
    return jax.lax.dot_general(a, b, (((1,), (1,)), ((), ())), precision=jax.lax.Precision.HIGHEST)


def safe_norm(x: Float[Array, "... d"]) -> Float[Array, "..."]:
    """Compute the Euclidean norm along the last axis, with gradient 0 at 0, not NaN."""
    return safe_sqrt(rounded(x**2).sum(axis=-1))

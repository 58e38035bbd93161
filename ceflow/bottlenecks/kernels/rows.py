"""Rows of a kernel between training points and all points, kept in memory or recomputed."""

from abc import abstractmethod
from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ceflow.bottlenecks.kernels.encoder import EncoderKernel
from ceflow.kernels.infinite.angles import Rows, by_differences, rows
from ceflow.kernels.infinite.polynomials import angle_of

ROWS_AT_ONCE = 256
"""Number of rows computed at once if all rows are needed."""

NEAR_ANGLE = {"float32": 2.0**-4, "float64": 2.0**-10}
"""Angle below which differences of vectors replace the matrix product, by type; at this angle the
product's error is 2e-6 (2e-13)."""


class KernelRows(eqx.Module):
    """A kernel (n, m) between n training points and all m points, which start with them."""

    @abstractmethod
    def __call__(self, batch: Int[Array, " b"]) -> Float[Array, "b m"]:
        """Return the rows of some training points, by index."""

    @abstractmethod
    def product(self, v: Float[Array, "n k"]) -> Float[Array, "m k"]:
        """Compute `kernel^T v`."""


class KeptRows(KernelRows):
    """A kernel that is kept in memory."""

    matrix: Float[Array, "n m"]

    def __call__(self, batch: Int[Array, " b"]) -> Float[Array, "b m"]:
        return self.matrix[batch]

    def product(self, v: Float[Array, "n k"]) -> Float[Array, "m k"]:
        return self.matrix.T @ v


class Points(eqx.Module):
    """Vectors, preprocessed for computing angles."""

    split: Rows
    unit: Float[Array, "m d"]

    def __getitem__(self, index: Int[Array, " b"] | slice) -> "Points":
        return jax.tree.map(lambda part: part[index], self)

    @property
    def q(self) -> Float[Array, " m"]:
        """Mean squares `|x|^2/d`."""
        return self.split.square / self.unit.shape[1]


@eqx.filter_jit
def points_of(x: Float[Array, "m d"]) -> Points:
    """Split and normalise vectors."""
    split = rows(x)
    return Points(split, split.head + split.tail)


def angles(one: Points, two: Points, same: Bool[Array, "b m"]) -> Float[Array, "b m"]:
    """Compute angles from a matrix product in the points' precision, near pairs from differences.

    `same` marks pairs that are the same vector; their angle is 0, and so is that of zero vectors.
    """
    cosine = jax.lax.dot_general(
        one.unit, two.unit, (((1,), (1,)), ((), ())), precision=jax.lax.Precision.HIGHEST
    )
    differ = ~same & (one.split.square > 0)[:, None] & (two.split.square > 0)
    s, k = (1 - cosine) / 2, (1 + cosine) / 2
    near = (jnp.minimum(s, k) < NEAR_ANGLE[s.dtype.name] ** 2 / 4) & differ
    s, k = jax.lax.cond(
        near.any(), by_differences, lambda *given: given[3:], one.split, two.split, near, s, k
    )
    return angle_of(jnp.where(differ, s, 0.0), jnp.where(differ, k, 1.0))


class MadeRows(KernelRows):
    """A kernel whose rows are computed from the points when needed."""

    kernel: EncoderKernel
    points: Points
    train: int = eqx.field(static=True)

    def __call__(self, batch: Int[Array, " b"]) -> Float[Array, "b m"]:
        some, same = self.points[batch], batch[:, None] == jnp.arange(len(self.points.unit))
        return self.kernel(some.q[:, None], self.points.q, angles(some, self.points, same))

    def product(self, v: Float[Array, "n k"]) -> Float[Array, "m k"]:
        def add(total: Array, start: Array) -> tuple[Array, None]:
            batch = start + jnp.arange(ROWS_AT_ONCE)
            inside = (batch < self.train)[:, None]
            return total + self(batch).T @ jnp.where(inside, v[batch], 0), None

        empty = jnp.zeros((len(self.points.unit), v.shape[1]), v.dtype)
        return jax.lax.scan(add, empty, jnp.arange(0, self.train, ROWS_AT_ONCE))[0]

    def rows(self, memory: int) -> KernelRows:
        """Return the rows kept in memory if they take at most `memory` bytes, otherwise these."""
        n, m = self.train, len(self.points.unit)
        fits = n * m * self.points.unit.dtype.itemsize <= memory
        return KeptRows(_assembled(self)) if fits else self

    @eqx.filter_jit
    def with_others(self, others: Float[Array, "k d"]) -> Float[Array, "n k"]:
        """Compute the kernel between the training points and other points."""
        two = points_of(others)

        def block(start: Array) -> Array:
            one = self.points[start + jnp.arange(ROWS_AT_ONCE)]
            same = jnp.zeros((), bool)
            return self.kernel(one.q[:, None], two.q, angles(one, two, same))

        return _stacked(block, self.train)


@eqx.filter_jit
def _assembled(made: MadeRows) -> Float[Array, "n m"]:
    return _stacked(lambda start: made(start + jnp.arange(ROWS_AT_ONCE)), made.train)


def _stacked(block: Callable[[Array], Array], count: int) -> Array:
    """Compute blocks of rows and stack them; the last block is padded with its last row."""
    blocks = jax.lax.map(block, jnp.arange(0, count, ROWS_AT_ONCE))
    return blocks.reshape(-1, blocks.shape[-1])[:count]

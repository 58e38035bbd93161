"""Moments of the values at positions of two images, and sums over positions."""

import math
from collections.abc import Callable, Sequence
from functools import reduce
from operator import add
from typing import NamedTuple

import jax.numpy as jnp
from jax.lax import pad, slice_in_dim
from jaxtyping import Array

from ceflow.kernels.infinite.errors import FORM_EPS, INPUT_EPS, eps_of
from ceflow.kernels.infinite.moments import Errors, size
from ceflow.kernels.infinite.polynomials import rounded, safe_sqrt

HEIGHT, WIDTH = 0, 1
"""Spatial directions: indices of the axes of an image."""


class Between(NamedTuple):
    """Moments of the values at the positions of pairs of images, per channel, after some layer.

    `q1` and `q2` have shape (pairs, height, width). The other moments run over the positions of the
    first and the second image, (pairs, height, width, height, width), or are (pairs, height, width)
    if only equal positions are tracked. A vector is an image of one position.
    """

    q1: Array
    q2: Array
    apart: Array
    """`2 (sqrt(q1 q2) - c)`, c the covariance: `|u - v|^2` of both values at equal length. It keeps
    the angle accurate if the values are nearly parallel, whatever their lengths."""
    together: Array
    """`2 (sqrt(q1 q2) + c)`, which keeps the angle accurate if the values are nearly opposite."""
    ntk: Array
    reach: Array
    """Bound on all variances of all pairs."""
    errors: Errors | None = None
    """Bounds on the errors of the moments, if they are tracked, of images with themselves. Each has
    shape (pairs, height, width); relative errors and errors of angles are maxima over an image."""
    ntk_error: Array = 0.0  # type: ignore
    """Bound on the NTK's error; between two positions the error is at most their geometric mean."""

    @property
    def every(self) -> bool:
        """Whether all pairs of positions are tracked."""
        return self.apart.ndim > self.q1.ndim

    @property
    def sides(self) -> tuple[Array, Array]:
        """`q1` and `q2`, reshaped to broadcast with the other moments."""
        if self.every:
            return self.q1[..., None, None], self.q2[..., None, None, :, :]
        return self.q1, self.q2

    @property
    def covariance(self) -> Array:
        """Covariance c, the mean of u v."""
        return (self.together - self.apart) / 4

    def moved(
        self, single: Callable[[Array], Array], both: Callable[[Array], Array] | None = None
    ) -> "Between":
        """Apply linear maps to all moments: `single` at positions, `both` at pairs of positions."""
        both = both or single
        errors, ntk_error = self.errors, self.ntk_error
        if errors is not None:
            errors = errors._replace(
                variance=single(errors.variance), covariance=single(errors.covariance)
            )
            ntk_error = single(ntk_error)
        apart, together, ntk = map(both, (self.apart, self.together, self.ntk))
        moved = self._replace(q1=single(self.q1), q2=single(self.q2), ntk=ntk)
        return moved._replace(apart=apart, together=together, errors=errors, ntk_error=ntk_error)


def between(one: Array, two: Array, every: bool, reach: Array) -> Between:
    """Compute the moments of pairs of input images, each (pairs, channels, height, width)."""
    q1, q2 = (rounded(x**2).mean(axis=1) for x in (one, two))
    u, v = (x * _inverse_root(q)[:, None] for x, q in ((one, q1), (two, q2)))
    if every:
        u, v = u[..., None, None], v[..., None, None, :, :]
    apart, together = (rounded(each**2).mean(axis=1) for each in (u - v, u + v))
    empty = Between(q1, q2, apart, together, jnp.zeros_like(apart), reach)
    length = size(*empty.sides)
    return empty._replace(apart=rounded(length * apart), together=rounded(length * together))


def started(pair: Between) -> Between:
    """Add the initial errors of inputs; there is no bound if all squares of an image underflow."""
    none, eps = jnp.zeros_like(pair.q1), eps_of(pair.q1)
    most = jnp.max(pair.q1, axis=(-2, -1), keepdims=True)
    vanished = (most == 0) & (pair.reach > 0)
    relative = jnp.where(vanished, jnp.inf, INPUT_EPS * eps)
    return pair._replace(errors=Errors(relative, math.pi * relative, none, none), ntk_error=none)


def joined(parts: Sequence[Between], weight: float = 1.0) -> Between:
    """Compute the moments of the sum of uncorrelated parts, times the root of `weight`.

    Uses `2 sqrt(Q1 Q2) - sum_i 2 sqrt(q1_i q2_i) = sqrt(Q1 Q2) |u - v|^2`, where u and v are the
    unit vectors along the roots of the parts' variances.
    """
    if len(parts) == 1:
        return parts[0]

    def total(arrays: Sequence[Array]) -> Array:
        return rounded(weight * reduce(add, arrays))

    q1, q2 = total([part.q1 for part in parts]), total([part.q2 for part in parts])
    sides = [part.sides for part in parts]
    whole = parts[0]._replace(q1=q1, q2=q2)
    inverses = tuple(map(_inverse_root, whole.sides))
    unequal = total(
        [rounded((safe_sqrt(a) * inverses[0] - safe_sqrt(b) * inverses[1]) ** 2) for a, b in sides]
    )
    lost = rounded(size(*whole.sides) * unequal)
    apart = total([part.apart for part in parts])
    together = total([part.together for part in parts])
    ntk = total([part.ntk for part in parts])
    reach = parts[0].reach if weight < 1 else reduce(add, [part.reach for part in parts])
    found = Between(q1, q2, apart + lost, together + lost, ntk, reach)
    if parts[0].errors is None:
        return found
    errors = [part.errors for part in parts if part.errors is not None]
    largest = (reduce(jnp.maximum, [each[i] for each in errors]) for i in (0, 1))
    means = (total([each[i] for each in errors]) for i in (2, 3))
    ntk_error = total([part.ntk_error for part in parts])
    return found._replace(errors=Errors(*largest, *means), ntk_error=ntk_error)


def rounded_sums(pair: Between, count: float) -> Between:
    """Add the effect of the sums in `joined` on errors, with a rounding error of `count` eps.

    The error of an angle is at most the largest of the parts', as `cos T = sum_i w_i cos t_i`
    implies `dT <= max_i dt_i`. Relative errors of the parts' variances turn each of the two unit
    vectors by at most half of them.
    """
    if pair.errors is None:
        return pair
    (relative, angle, *others), eps = pair.errors, eps_of(pair.q1)
    errors = Errors(relative + count * eps, angle + relative + (count + FORM_EPS) * eps, *others)
    return pair._replace(
        errors=errors, ntk_error=pair.ntk_error + count * eps * own(pair, pair.ntk)
    )


def own(pair: Between, moment: Array) -> Array:
    """Return the entries of each position with itself."""
    return jnp.einsum("...hwhw->...hw", moment) if pair.every else moment


def windows(pair: Between, direction: int, kernel: int, stride: int) -> list[Between]:
    """Return the moments at each offset of a kernel in one direction, the same in both images."""

    def at(offset: int, axes: tuple[int, ...]) -> Callable[[Array], Array]:
        def cut(a: Array) -> Array:
            for axis in axes:
                length = (a.shape[axis] - kernel) // stride * stride + 1
                a = slice_in_dim(a, offset, offset + length, stride, axis % a.ndim)
            return a

        return cut

    single = (direction - 2,)
    both = (direction - 4, direction - 2) if pair.every else single
    return [pair.moved(at(offset, single), at(offset, both)) for offset in range(kernel)]


def padded(pair: Between, edges: tuple[int, int], circular: bool) -> Between:
    """Pad both images with zeros or periodically, before and after each axis; negative numbers crop
    them.
    """

    def around(count: int) -> Callable[[Array], Array]:
        if circular:
            return lambda a: jnp.pad(a, [(0, 0)] * (a.ndim - count) + [edges] * count, "wrap")
        wide = [(*edges, 0)] * count
        return lambda a: pad(a, jnp.zeros((), a.dtype), [(0, 0, 0)] * (a.ndim - count) + wide)

    return pair.moved(around(2), around(4 if pair.every else 2))


def flattened(pair: Between) -> Between:
    """Average over equal positions."""

    def mean(a: Array) -> Array:
        return a.mean(axis=(-2, -1), keepdims=True)

    q1, q2 = mean(pair.q1), mean(pair.q2)
    u, v = (safe_sqrt(q) * _inverse_root(total) for q, total in ((pair.q1, q1), (pair.q2, q2)))
    lost = rounded(size(q1, q2) * mean(rounded((u - v) ** 2)))
    apart, together, ntk = (mean(own(pair, a)) for a in pair[2:5])
    found = Between(q1, q2, apart + lost, together + lost, ntk, pair.reach)
    if pair.errors is not None:
        variance, covariance, ntk_error = map(mean, (*pair.errors[2:], pair.ntk_error))
        relative, angle = (e.max((-2, -1), keepdims=True) for e in pair.errors[:2])
        errors = Errors(relative, angle, variance, covariance)
        found = rounded_sums(found._replace(errors=errors, ntk_error=ntk_error), INPUT_EPS)
    if pair.every:
        apart, together, ntk = (a[..., None, None] for a in (found.apart, found.together, ntk))
        found = found._replace(apart=apart, together=together, ntk=ntk)
    return found


def _inverse_root(q: Array) -> Array:
    root = safe_sqrt(q)
    return jnp.where(root > 0, 1 / jnp.where(root > 0, root, 1.0), 0.0)

"""Moments of the values at positions of two images, and sums over positions."""

import math
from collections.abc import Callable, Sequence
from functools import partial, reduce
from itertools import product
from operator import add
from typing import NamedTuple

import jax.numpy as jnp
from jax.lax import index_in_dim, pad
from jax.lax import slice as slice_array
from jaxtyping import Array

from ceflow.kernels.infinite.errors import FORM_EPS, INPUT_EPS, eps_of
from ceflow.kernels.infinite.moments import Errors, size
from ceflow.kernels.infinite.polynomials import rounded, safe_sqrt

HEIGHT, WIDTH = 0, 1
"""Spatial directions: indices of the axes of an image."""

FEW_CHANNELS = 8
"""Largest number of channels whose sum is written out."""

Roots = tuple[Array, Array]
"""Standard deviations at the positions of the first and of the second images."""


class Between(NamedTuple):
    """Moments of the values at the positions of pairs of images, per channel, after some layer.

    `q1` and `q2` have shape (..., height, width). The other moments run over the positions of the
    first and the second image, (..., height, width, height, width), or are (..., height, width) if
    only equal positions are tracked. Axes of pairs, before those of positions, broadcast. A vector
    is an image of one position.
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
    ntk_error: Array = None  # type: ignore
    """Bound on the NTK's error; between two positions the error is at most their geometric mean."""

    @property
    def every(self) -> bool:
        """Whether all pairs of positions are tracked."""
        return self.apart.ndim > self.q1.ndim

    @property
    def sides(self) -> tuple[Array, Array]:
        """`q1` and `q2`, reshaped to broadcast with the other moments."""
        return self.beside(self.q1, self.q2)

    def beside(self, one: Array, two: Array) -> tuple[Array, Array]:
        """Reshape arrays over the positions of the first and the second image to broadcast."""
        if self.every:
            return one[..., None, None], two[..., None, None, :, :]
        return one, two

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
    """Compute the moments of pairs of input images, each (..., channels, height, width)."""
    q1, q2 = (_mean_over_channels(rounded(x**2), 2) for x in (one, two))
    inverses = 1 / root(q1), 1 / root(q2)
    pairs = zip((one, two), inverses, strict=True)
    u, v = (rounded(x * inverse[..., None, :, :]) for x, inverse in pairs)
    if every:
        u, v = u[..., None, None], v[..., None, None, :, :]
    after = 4 if every else 2
    apart, together = (_mean_over_channels(rounded(each**2), after) for each in (u - v, u + v))
    empty = Between(q1, q2, apart, together, jnp.zeros_like(apart), reach)
    norms = empty.beside(q1 * inverses[0], q2 * inverses[1])
    length = rounded(norms[0] * norms[1])
    return empty._replace(apart=rounded(length * apart), together=rounded(length * together))


def _mean_over_channels(a: Array, after: int) -> Array:
    """Average over the axis with `after` axes after it; few terms are added ten times faster."""
    axis = a.ndim - after - 1
    count = a.shape[axis]
    if count > FEW_CHANNELS:
        return a.mean(axis=axis)
    return reduce(add, [index_in_dim(a, i, axis, keepdims=False) for i in range(count)]) / count


def itself(q: Array, ntk: Array, reach: Array) -> Between:
    """Return the moments of each position of images with itself, given its variance and NTK."""
    return Between(q, q, jnp.zeros_like(q), 4 * q, ntk, reach)


def started(pair: Between, x: Array) -> Between:
    """Return the moments of positions of inputs with themselves, with initial errors.

    There is no bound if all squares of an image `x` underflow, unless it is zero.
    """
    none, eps = jnp.zeros_like(pair.q1), eps_of(pair.q1)
    most = jnp.max(pair.q1, axis=(-2, -1), keepdims=True)
    vanished = (most == 0) & (x != 0).any((-3, -2, -1), keepdims=True)[..., 0, :, :]
    relative = jnp.where(vanished, jnp.inf, INPUT_EPS * eps)
    errors = Errors(relative, math.pi * relative, none, none)
    return itself(pair.q1, none, pair.reach)._replace(errors=errors, ntk_error=none)


def joined(
    parts: Sequence[Between], weight: float = 1.0, roots: Sequence[Roots] | None = None
) -> Between:
    """Compute the moments of the sum of uncorrelated parts, times the root of `weight`.

    Uses `2 sqrt(Q1 Q2) - sum_i 2 sqrt(q1_i q2_i) = sqrt(Q1 Q2) |u - v|^2`, where u and v are the
    unit vectors along the roots of the parts' variances. `roots` are those roots, if they are known
    already.
    """
    if len(parts) == 1:
        return parts[0]

    def total(arrays: Sequence[Array]) -> Array:
        return rounded(weight * reduce(add, arrays))

    found = parts[0]._replace(
        q1=total([part.q1 for part in parts]),
        q2=total([part.q2 for part in parts]),
        apart=total([part.apart for part in parts]),
        together=total([part.together for part in parts]),
        ntk=total([part.ntk for part in parts]),
        reach=parts[0].reach if weight < 1 else reduce(add, [part.reach for part in parts]),
    )
    lost = weight * _unequal(found, roots or [(root(part.q1), root(part.q2)) for part in parts])
    found = found._replace(apart=found.apart + lost, together=found.together + lost)
    if found.errors is None:
        return found
    errors = [part.errors for part in parts if part.errors is not None]
    largest = (reduce(jnp.maximum, [each[i] for each in errors]) for i in (0, 1))
    means = (total([each[i] for each in errors]) for i in (2, 3))
    ntk_error = total([part.ntk_error for part in parts])
    return found._replace(errors=Errors(*largest, *means), ntk_error=ntk_error)


def root(q: Array) -> Array:
    """Compute the root of variances; of those below the smallest normal number, its root."""
    return jnp.sqrt(jnp.maximum(q, float(jnp.finfo(q.dtype).tiny)))


def _unequal(whole: Between, roots: Sequence[Roots]) -> Array:
    """Compute `sqrt(Q1 Q2) |u - v|^2`, with u and v the parts' roots over those of the whole."""
    inverses = 1 / root(whole.q1), 1 / root(whole.q2)
    squares = []
    for pair in roots:
        u, v = whole.beside(
            *(rounded(r * inverse) for r, inverse in zip(pair, inverses, strict=True))
        )
        squares.append((u - v) ** 2)
    one, two = whole.beside(*inverses)
    return reduce(add, squares) / (one * two)


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


def averaged(pair: Between, axes: Sequence[int], kernel: int, stride: int) -> Between:
    """Average over the offsets of a kernel along some directions, the same in both images."""
    roots, parts, their_roots = (root(pair.q1), root(pair.q2)), [], []
    for offsets in product(range(kernel), repeat=len(axes)):
        places = dict(zip(axes, offsets, strict=True))

        cuts = [partial(_window, places, kernel, stride, count) for count in (2, 4)]
        parts.append(pair.moved(cuts[0], cuts[pair.every]))
        their_roots.append(tuple(map(cuts[0], roots)))
    return joined(parts, 1 / len(parts), their_roots)


def _window(places: dict[int, int], kernel: int, stride: int, count: int, a: Array) -> Array:
    """Slice the last `count` axes, over the positions of one image or of both: along some
    directions, take every `stride`-th position from an offset on.
    """
    starts, ends, strides = [0] * a.ndim, list(a.shape), [1] * a.ndim
    for axis in range(a.ndim - count, a.ndim):
        offset = places.get((a.ndim - axis) % 2)
        if offset is not None:
            last = (a.shape[axis] - kernel) // stride * stride
            starts[axis], ends[axis], strides[axis] = offset, offset + last + 1, stride
    return slice_array(a, starts, ends, strides)


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
    u, v = (safe_sqrt(q) * inverse(safe_sqrt(total)) for q, total in ((pair.q1, q1), (pair.q2, q2)))
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


def inverse(root: Array) -> Array:
    """Compute the inverse of numbers; 0 for 0."""
    return jnp.where(root > 0, 1 / jnp.where(root > 0, root, 1.0), 0.0)

"""Infinitely wide convolutional networks: what `recursion` does for vectors, for images.

With infinitely many channels the values at two positions, of one image or of two, are Gaussians.
Their covariances are followed up the layers: between every position of one image and every position
of the other where the network pools, else between equal positions only.
"""

import math
from collections.abc import Callable
from functools import reduce, singledispatch
from operator import add
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ceflow.compiler import nodes
from ceflow.kernels.infinite.duals import dual
from ceflow.kernels.infinite.errors import START, eps_of, of_covariance
from ceflow.kernels.infinite.gaussian import require_gaussian
from ceflow.kernels.infinite.moments import Errors, Moments, biased, ranged, scaled, size
from ceflow.kernels.infinite.polynomials import angle_of, half_angle_squares, rounded, safe_sqrt

BLOCK = 2**28
"""Bytes that the moments of a block of pairs of images may take."""

COPIES = 16
"""Arrays over the pairs of positions that are alive at once."""

TRIED = 16
"""Images from which errors are bounded, of lengths spread over those of all."""

APART = 2
"""Units of eps of q that covariances are off by where lengths differ: `apart` holds both."""


def image_kernels(
    root: nodes.Node, x1: Float[Array, "n1 c h w"], x2: Float[Array, "n2 c h w"] | None
) -> tuple[Float[Array, "n1 n2"], Float[Array, "n1 n2"]]:
    """NNGP and NTK of an infinitely wide network.

    Without `x2` of `x1` with itself, and then each pair is done once.
    """
    require_gaussian(root)
    return _of_pairs(root, x1, x2)


def image_error(root: nodes.Node, x1: Array, x2: Array | None) -> Float[Array, ""]:
    """The bound on their errors, over the NTK's largest diagonal entry."""
    require_gaussian(root)
    x = x1 if x2 is None else jnp.concatenate([x1, x2])
    order = jnp.argsort((x**2).sum(axis=(1, 2, 3)))
    return _error(root, x[order[np.linspace(0, len(x) - 1, TRIED).round().astype(int)]])


@eqx.filter_jit
def _of_pairs(root: nodes.Node, x1: Array, x2: Array | None) -> tuple[Array, Array]:
    def pair(indices: Array) -> tuple[Array, Array]:
        i, j = indices
        across = through(root, images(x1[i], other[j], root, reach)).across
        return across.covariance.squeeze(), across.ntk.squeeze()

    other = x1 if x2 is None else x2
    reach = jnp.maximum(_largest(x1), _largest(other))
    rows, columns = np.triu_indices(len(x1)) if x2 is None else np.indices((len(x1), len(x2)))
    pairs = jnp.stack([jnp.ravel(rows), jnp.ravel(columns)], axis=1)
    nngp, ntk = jax.lax.map(pair, pairs, batch_size=min(len(pairs), _at_once(root, x1)))

    def matrix(values: Array) -> Array:
        empty = jnp.zeros((len(x1), len(other)), values.dtype)
        if x2 is None:
            empty = empty.at[pairs[:, 1], pairs[:, 0]].set(values)
        return empty.at[pairs[:, 0], pairs[:, 1]].set(values)

    return matrix(nngp), matrix(ntk)


@eqx.filter_jit
def _error(root: nodes.Node, x: Array) -> Float[Array, ""]:
    """From the diagonal: each entry's bound is at most the larger of those of its two images."""

    def own(image: Array) -> tuple[Array, Array]:
        state = images(image, image, root, reach)
        across = through(root, state.each(_started)).across
        error = jnp.where(jnp.isfinite(across.covariance).all(), across.ntk_error, jnp.inf)
        return error, across.ntk.squeeze()

    reach = _largest(x)
    errors, diagonal = jax.lax.map(own, x, batch_size=min(len(x), _at_once(root, x)))
    largest = jnp.max(diagonal)
    return jnp.max(errors) / jnp.where(largest > 0, largest, 1.0)


def _largest(x: Float[Array, "n c h w"]) -> Float[Array, ""]:
    """Of all variances, over channels."""
    return jnp.max((x**2).mean(axis=1))


def _started(pair: "Between") -> "Between":
    """With the errors of inputs, of which a square that vanishes has no bound."""
    eps, q = eps_of(pair.q1), jnp.max(pair.q1)
    none = jnp.zeros((), q.dtype)
    return pair._replace(errors=Errors(none + START * eps, none, none, APART * eps * q))


def _at_once(root: nodes.Node, x: Array) -> int:
    """How many pairs of images fit."""
    positions = math.prod(x.shape[2:]) ** (2 if pools(root) else 1)
    return max(1, BLOCK // (COPIES * x.dtype.itemsize * positions))


class Between(NamedTuple):
    """Two images part of the way up: the moments of the values at their positions, per channel.

    `q1` and `q2` are (height, width). The others go from the positions of the first image to those
    of the second, (height, width, height, width), or are (height, width) where only equal
    positions are followed. `covariance` is the mean of u v over channels, `apart` of (u - v)^2 and
    `together` of (u + v)^2, which lose no digits where u and v are nearly equal or opposite. Under
    `jax.jit` only what is used is computed. A vector is an image of one position.
    """

    q1: Array
    q2: Array
    covariance: Array
    apart: Array
    together: Array
    ntk: Array
    reach: Array
    """A bound on all variances, of all pairs."""
    errors: Errors | None = None
    """Bounds on the errors of the moments at all positions, if they are followed."""
    ntk_error: Array | float = 0.0
    """The same of the NTK."""

    @property
    def sides(self) -> tuple[Array, Array]:
        """`q1` and `q2` as they go with the others."""
        return self.q1[(..., *(None,) * (self.apart.ndim - 2))], self.q2

    def moved(self, function: Callable[[Array], Array]) -> "Between":
        """The same linear map of positions for all moments."""
        q1, q2, covariance, apart, together, ntk = map(function, self[:6])
        return self._replace(
            q1=q1, q2=q2, covariance=covariance, apart=apart, together=together, ntk=ntk
        )

    def plus(self, other: "Between") -> "Between":
        """The moments of a sum of uncorrelated values."""
        return jax.tree.map(add, self, other)


class Images(NamedTuple):
    """Two images: one with the other, and each with itself, which pooling mixes."""

    across: Between
    first: Between
    second: Between

    def each(self, function: Callable[[Between], Between]) -> "Images":
        """The same for all three."""
        return Images(*map(function, self))


def images(
    x1: Float[Array, "c h w"], x2: Float[Array, "c h w"], root: nodes.Node, reach: Array
) -> Images:
    """Two inputs as the network `root` needs them; no variance of any is above `reach`."""
    pairs = ((x1, x2), (x1, x1), (x2, x2))
    return Images(*(_between(one, two, pools(root), reach) for one, two in pairs))


def pools(root: nodes.Node) -> bool:
    """Whether a network mixes positions other than by convolution."""
    return any(isinstance(node, nodes.AveragePool) for node in nodes.every(root))


def _between(one: Array, two: Array, every: bool, reach: Array) -> Between:
    q1, q2 = rounded(one**2).mean(axis=0), rounded(two**2).mean(axis=0)
    one = one[:, :, :, None, None] if every else one
    two = two[:, None, None, :, :] if every else two
    both = one * two, (one - two) ** 2, (one + two) ** 2
    covariance, apart, together = (rounded(values).mean(axis=0) for values in both)
    return Between(q1, q2, covariance, apart, together, jnp.zeros_like(covariance), reach)


@singledispatch
def through(node: nodes.Node, state: Images) -> Images:
    """What an infinitely wide layer makes of two images."""
    raise TypeError(f"no infinite-width kernel is registered for the layer {type(node).__name__}")


@through.register
def _(node: nodes.Dense, state: Images) -> Images:
    return state.each(lambda pair: _weighted(pair, node.weight_variance, node.bias_variance))


@through.register
def _(node: nodes.Convolution, state: Images) -> Images:
    """Groups change nothing: each has infinitely many channels of the same moments."""

    def convolved(pair: Between) -> Between:
        padding = node.kernel // 2 if node.padding is None else node.padding
        near = _shared(_padded(pair, padding), node.kernel, node.stride)
        return _weighted(near, node.weight_variance, node.bias_variance)

    return state.each(convolved)


@through.register
def _(node: nodes.Activation, state: Images) -> Images:
    return state.each(lambda pair: _activated(pair, node.name))


@through.register
def _(node: nodes.AveragePool, state: Images) -> Images:
    window = node.window or state.first.q1.shape[0], node.window or state.first.q1.shape[1]
    covariances = [_pooled(pair.covariance, *window) for pair in state]
    q1, q2 = (jnp.einsum("hwhw->hw", own) for own in covariances[1:])
    sides = ((q1, q2), (q1, q1), (q2, q2))
    return Images(
        *(
            _from_covariance(one, two, covariance, _pooled(pair.ntk, *window), pair)
            for (one, two), covariance, pair in zip(sides, covariances, state, strict=True)
        )
    )


@through.register
def _(node: nodes.Flatten, state: Images) -> Images:
    """The mean over equal positions."""

    def mean(a: Array) -> Array:
        equal = a if a.ndim == 2 else jnp.einsum("hwhw->hw", a)
        return equal.mean().reshape((1,) * a.ndim)

    return state.each(lambda pair: pair.moved(mean))


@through.register
def _(node: nodes.Residual, state: Images) -> Images:
    """Branches with weights of their own are uncorrelated: all moments add."""
    straight = state if node.shortcut is None else through(node.shortcut, state)
    both = zip(straight, through(node.body, state), strict=True)
    return Images(*(one.plus(two) for one, two in both))


@through.register
def _(node: nodes.Chain, state: Images) -> Images:
    for layer in node.layers:
        state = through(layer, state)
    return state


@through.register
def _(node: nodes.Ensemble, state: Images) -> Images:
    return through(node.member, state)


def _weighted(pair: Between, c: float, b: float) -> Between:
    """`S <- c S + b`, then the NTK `T <- S + c T`."""
    moved = pair.moved(lambda a: rounded(c * a))
    q1, q2, covariance = moved.q1 + b, moved.q2 + b, moved.covariance + b
    ntk, reach = covariance + moved.ntk, c * pair.reach + b
    after = Between(q1, q2, covariance, moved.apart, moved.together + 4 * b, ntk, reach)
    if pair.errors is None:
        return after
    at = Moments(pair.q1, pair.q2, pair.q1, pair.q1, pair.errors)
    weighted = ranged(biased(scaled(at, c), b) if b else scaled(at, c))
    errors = jax.tree.map(jnp.max, weighted.errors)
    ntk_error = jnp.max(of_covariance(weighted)) + c * pair.ntk_error
    rounding = 2 * eps_of(ntk) * jnp.max(jnp.abs(ntk))
    return after._replace(errors=errors, ntk_error=ntk_error + rounding)


def _activated(pair: Between, name: str) -> Between:
    q1, q2 = pair.sides
    unequal, scale = rounded((safe_sqrt(q1) - safe_sqrt(q2)) ** 2), 4 * size(q1, q2)
    one = jnp.where(scale > 0, scale, 1.0)
    s, k = (jnp.maximum(a - unequal, 0.0) / one for a in (pair.apart, pair.together))
    angle = jnp.where(scale > 0, angle_of(s, k), 0.0)
    before = Moments(q1, q2, angle, pair.covariance, pair.errors, pair.reach)
    after, slope, slope_error = dual(name, before)
    s, k = half_angle_squares(after.angle)
    unequal = rounded((safe_sqrt(after.q1) - safe_sqrt(after.q2)) ** 2)
    scale = 4 * size(after.q1, after.q2)
    found = Between(
        after.q1.reshape(pair.q1.shape),
        after.q2.reshape(pair.q2.shape),
        after.covariance,
        unequal + rounded(scale * s),
        unequal + rounded(scale * k),
        rounded(slope * pair.ntk),
        pair.reach if after.reach is None else after.reach,
    )
    if pair.errors is None or after.errors is None:
        return found
    errors = jax.tree.map(jnp.max, after.errors)
    lost = APART * eps_of(pair.ntk) * jnp.max(after.q1)
    ntk_error = jnp.max(slope) * pair.ntk_error + jnp.max(slope_error) * (
        jnp.max(jnp.abs(pair.ntk)) + pair.ntk_error
    )
    return found._replace(
        errors=errors._replace(covariance=errors.covariance + lost), ntk_error=ntk_error
    )


def _padded(pair: Between, width: int) -> Between:
    """With zeros around both images: what is inside one and outside the other is `q` apart.

    Below 0 the images are cut.
    """
    if width < 0:
        return pair.moved(lambda a: a[(slice(-width, width),) * a.ndim])
    padded = pair.moved(lambda a: jnp.pad(a, width))
    if pair.apart.ndim == 2:
        return padded
    inside = jnp.pad(jnp.ones(pair.q1.shape, bool), width)
    beside = padded.q1[:, :, None, None] * ~inside + padded.q2 * ~inside[:, :, None, None]
    return padded._replace(apart=padded.apart + beside, together=padded.together + beside)


def _shared(pair: Between, kernel: int, stride: int) -> Between:
    """The mean over the offsets of a kernel, the same in both images."""

    def mean(a: Array) -> Array:
        sizes = [(side - kernel) // stride * stride + 1 for side in a.shape]
        offsets = [(i, j) * (a.ndim // 2) for i in range(kernel) for j in range(kernel)]
        seen = (
            a[tuple(slice(o, o + n, stride) for o, n in zip(offset, sizes, strict=True))]
            for offset in offsets
        )
        return reduce(add, seen) / kernel**2

    return pair.moved(mean)


def _pooled(a: Array, height: int, width: int) -> Array:
    """The mean over windows of both images' positions."""
    h, w = a.shape[0] // height, a.shape[1] // width
    cut = a[: h * height, : w * width, : h * height, : w * width]
    return cut.reshape(h, height, w, width, h, height, w, width).mean(axis=(1, 3, 5, 7))


def _from_covariance(
    q1: Array, q2: Array, covariance: Array, ntk: Array, before: Between
) -> Between:
    total = q1[:, :, None, None] + q2
    apart, together = (jnp.maximum(total + sign * 2 * covariance, 0.0) for sign in (-1, 1))
    errors = before.errors
    if errors is not None:
        # What was known of angles is known of covariances alone; that of q is theirs too.
        lost = errors.covariance + jnp.max(before.q1) * (4 * errors.relative + errors.angle)
        lost += errors.variance
        none = jnp.zeros_like(lost)
        errors = Errors(none, none, lost, lost)
    found = q1, q2, covariance, apart, together, ntk
    return Between(*found, before.reach, errors, before.ntk_error)

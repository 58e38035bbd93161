"""The recursion over the layers of an infinitely wide convolutional network on images.

With infinitely many channels, the values at two positions, of the same or of two images, are
Gaussian. Their covariances are propagated through the layers: between all positions of one image
and all positions of the other if the network pools, otherwise between equal positions only.
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
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from ceflow.compiler import nodes
from ceflow.kernels.infinite.duals import dual
from ceflow.kernels.infinite.errors import FORM_EPS, eps_of, of_covariance, over_largest
from ceflow.kernels.infinite.gaussian import require_gaussian
from ceflow.kernels.infinite.moments import Errors, Moments, ranged, scaled, size
from ceflow.kernels.infinite.polynomials import angle_of, half_angle_squares, rounded, safe_sqrt
from ceflow.kernels.infinite.positions import (
    HEIGHT,
    WIDTH,
    Between,
    between,
    flattened,
    joined,
    own,
    padded,
    rounded_sums,
    started,
    windows,
)

BATCH_BYTES = 2**26
"""Largest number of bytes for the moments of a batch of pairs of images."""

MOST_PAIRS = 64
"""Largest number of pairs of images in a batch. The last batch is padded by repetition, so that one
shape is compiled and an entry is bit for bit the same among any others."""

LIVE_ARRAYS = 16
"""Number of arrays over pairs of positions in memory at once."""

TRIED_IMAGES = 16
"""Number of images whose errors are bounded; their norms are spread over those of all images."""


class Images(NamedTuple):
    """Moments of pairs of images, and the variances of each image that pooling needs."""

    across: Between
    first: tuple[Array, ...] | None = None
    """Variances of the first images after each pooling to come; None for pairs of an image with
    itself."""
    second: tuple[Array, ...] | None = None
    """Variances of the second images after each pooling to come."""
    found: tuple[Array, ...] = ()
    """Variances after each pooling so far, for pairs of an image with itself."""

    def each(self, function: Callable[..., Between], *arguments: object) -> "Images":
        """Apply a function to the moments of the pairs."""
        return self._replace(across=function(self.across, *arguments))


def image_kernels(
    root: nodes.Node, x1: Float[Array, "n1 c h w"], x2: Float[Array, "n2 c h w"] | None
) -> tuple[Float[Array, "n1 n2"], Float[Array, "n1 n2"]]:
    """Compute NNGP and NTK of an infinitely wide network.

    Without `x2`, the kernels are those of `x1` with itself, and each pair is computed once.
    """
    require_gaussian(root)
    other = x1 if x2 is None else x2
    reach = jnp.maximum(_largest(x1), _largest(other))
    first = _pooled_variances(root, x1, reach)
    second = first if x2 is None else _pooled_variances(root, other, reach)

    def pair(at: Int[Array, "2 pairs"]) -> tuple[Array, Array]:
        i, j = at
        start = _between(x1[i], other[j], pools(root), reach)
        pooled = (tuple(q[k] for q in each) for each, k in ((first, i), (second, j)))
        across = through(root, Images(start, *pooled)).across
        return across.covariance.reshape(-1), across.ntk.reshape(-1)

    pairs = np.triu_indices(len(x1)) if x2 is None else np.indices((len(x1), len(x2)))
    indices = np.stack([np.ravel(each) for each in pairs])
    values = _in_batches(pair, indices, _at_once(root, x1), x1, other)
    found = (
        _matrix(each, jnp.asarray(indices), (len(x1), len(other)), x2 is None) for each in values
    )
    nngp, ntk = found
    return nngp, ntk


def image_error(root: nodes.Node, x1: Array, x2: Array | None) -> Float[Array, ""]:
    """Bound the kernels' errors relative to the NTK's largest diagonal entry.

    Errors are computed on the diagonal: the error of any entry is at most the larger of those of
    its two images.
    """
    require_gaussian(root)
    x = x1 if x2 is None else jnp.concatenate([x1, x2])
    order = jnp.argsort((x**2).sum(axis=(1, 2, 3)))
    x = x[order[np.linspace(0, len(x) - 1, TRIED_IMAGES).round().astype(int)]]
    reach = _largest(x)

    def alone(at: Int[Array, "1 images"]) -> tuple[Array, Array]:
        start = _started(_between(x[at[0]], x[at[0]], pools(root), reach))
        across = through(root, Images(start)).across
        bound, held = jnp.asarray(across.ntk_error).reshape(-1), jnp.isfinite(across.covariance)
        error = jnp.where(held.reshape(-1), bound, jnp.inf)
        return error, across.ntk.reshape(-1)

    errors, diagonal = _in_batches(
        alone, np.arange(TRIED_IMAGES)[None], min(TRIED_IMAGES, _at_once(root, x)), x
    )
    return over_largest(errors, diagonal)


def _pooled_variances(root: nodes.Node, x: Array, reach: Array) -> tuple[Array, ...]:
    """Compute each image's variances after each pooling, from covariances of its positions."""
    if not pools(root):
        return ()

    def alone(at: Int[Array, "1 images"]) -> tuple[Array, ...]:
        return through(root, Images(_between(x[at[0]], x[at[0]], True, reach))).found

    return _in_batches(alone, np.arange(len(x))[None], _at_once(root, x), x)


def _in_batches(
    function: Callable[[Array], tuple[Array, ...]],
    indices: Int[np.ndarray, "k n"],
    count: int,
    *inputs: Array,
) -> tuple[Array, ...]:
    """Apply a function of indices to batches of `count`; the last batch is padded.

    Layers are compiled separately, so that repeated layers are compiled once. Only if JAX traces
    the `inputs`, for a derivative or within a larger program, the batches are one compiled loop.
    """
    total = indices.shape[1]
    filled = np.pad(indices, [(0, 0), (0, -total % count)], mode="edge")
    batches = np.moveaxis(filled.reshape(len(indices), -1, count), 1, 0)
    if any(isinstance(each, Tracer) for each in inputs):
        found = jax.lax.map(function, jnp.asarray(batches))
        return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:])[:total], found)
    results = [jax.block_until_ready(function(jnp.asarray(batch))) for batch in batches]
    return jax.tree.map(lambda *parts: jnp.concatenate(parts)[:total], *results)


@eqx.filter_jit
def _matrix(
    values: Float[Array, " pairs"], at: Int[Array, "2 pairs"], shape: tuple[int, int], mirror: bool
) -> Float[Array, "n1 n2"]:
    empty = jnp.zeros(shape, values.dtype)
    if mirror:
        empty = empty.at[at[1], at[0]].set(values)
    return empty.at[at[0], at[1]].set(values)


@eqx.filter_jit
def _largest(x: Float[Array, "n c h w"]) -> Float[Array, ""]:
    """Compute the largest mean square over channels, among all images and positions."""
    return jnp.max((x**2).mean(axis=1))


def _at_once(root: nodes.Node, x: Array) -> int:
    """Return the number of pairs of images in a batch."""
    positions = math.prod(x.shape[2:]) ** (2 if pools(root) else 1)
    return max(1, min(MOST_PAIRS, BATCH_BYTES // (LIVE_ARRAYS * x.dtype.itemsize * positions)))


def pools(root: nodes.Node) -> bool:
    """Return whether a network averages positions, beyond the reach of a convolution."""
    return any(node.pools for node in nodes.every(root))


@singledispatch
def through(node: nodes.Node, state: Images) -> Images:
    """Propagate the moments of pairs of images through an infinitely wide layer."""
    raise TypeError(f"no infinite-width kernel is registered for the layer {type(node).__name__}")


@through.register
def _(node: nodes.Dense, state: Images) -> Images:
    return state.each(_weighted, node.weight_variance, node.bias_variance)


@through.register
def _(node: nodes.Convolution, state: Images) -> Images:
    """Propagate through a convolution; each group has infinitely many channels, so groups do not
    matter.
    """
    near = state.each(_convolved, node.edges, node.circular, node.kernel, node.stride)
    return near.each(_weighted, node.weight_variance, node.bias_variance)


@through.register
def _(node: nodes.Activation, state: Images) -> Images:
    return state.each(_activated, node.name)


@through.register
def _(node: nodes.LayerNorm, state: Images) -> Images:
    return state.each(_normalised, node.by_position, node.affine, node.epsilon)


@through.register
def _(node: nodes.Dropout, state: Images) -> Images:
    """Return the moments unchanged: dropout acts in training only."""
    return state


@through.register
def _(node: nodes.AveragePool, state: Images) -> Images:
    pair, first, second, found = state
    if first is None or second is None:
        pooled = _pooled(pair, node.window, node.stride, None, None)
        return Images(pooled, found=(*found, pooled.q1))
    after = _pooled(pair, node.window, node.stride, first[0], second[0])
    return Images(after, first[1:], second[1:])


@through.register
def _(node: nodes.Flatten, state: Images) -> Images:
    return state.each(_flattened)


@through.register
def _(node: nodes.Residual, state: Images) -> Images:
    """Propagate through both branches, which are uncorrelated, so that all moments add."""
    straight = state if node.shortcut is None else through(node.shortcut, state)
    bent = through(node.body, straight._replace(across=state.across))
    return bent.each(_sum, straight.across)


@through.register
def _(node: nodes.Chain, state: Images) -> Images:
    for layer in node.layers:
        state = through(layer, state)
    return state


@through.register
def _(node: nodes.Ensemble, state: Images) -> Images:
    return through(node.member, state)


@eqx.filter_jit
def _weighted(pair: Between, c: float, b: float) -> Between:
    """Apply `S <- c S + b`, then the NTK `T <- S + c T`."""
    after = pair.moved(lambda a: rounded(c * a))._replace(reach=c * pair.reach)
    if pair.errors is not None:
        weighted = ranged(scaled(_alone(pair), c)).errors
        assert weighted is not None
        after = after._replace(errors=_of_images(weighted, pair))
    if b:
        after = rounded_sums(joined([after, _constant(after, b)]), 1)
    after = after._replace(ntk=after.covariance + after.ntk)
    if after.errors is None:
        return after
    rounding = 2 * eps_of(after.ntk) * own(after, after.ntk)
    ntk_error = after.ntk_error + _by_position(of_covariance(_alone(after)), after) + rounding
    return after._replace(ntk_error=ntk_error)


def _alone(pair: Between) -> Moments:
    """Return the moments of each position with itself."""
    q = pair.sides[0]
    return Moments(q, q, q, q, _beside(pair))


def _constant(pair: Between, b: float) -> Between:
    """Return the moments of values that are the same at all positions, of variance b."""
    everywhere = pair.moved(lambda a: jnp.full_like(a, b), lambda a: jnp.full_like(a, 4 * b))
    nowhere, errors = jnp.zeros_like(pair.apart), jax.tree.map(jnp.zeros_like, pair.errors)
    return everywhere._replace(
        apart=nowhere,
        ntk=nowhere,
        reach=jnp.full_like(pair.reach, b),
        errors=errors,
        ntk_error=0.0,
    )


@eqx.filter_jit
def _activated(pair: Between, name: str) -> Between:
    both = pair.apart + pair.together
    one = jnp.where(both > 0, both, 1.0)
    angle = jnp.where(both > 0, angle_of(pair.apart / one, pair.together / one), 0.0)
    after = dual(name, Moments(*pair.sides, angle, pair.covariance, _beside(pair), pair.reach))
    q1, q2, angle, _, errors, reach = after.moments
    (s, k), scale = half_angle_squares(angle), 4 * size(q1, q2)
    found = Between(
        q1.reshape(pair.q1.shape),
        q2.reshape(pair.q2.shape),
        rounded(scale * s),
        rounded(scale * k),
        rounded(after.slope * pair.ntk),
        pair.reach if reach is None else reach,
    )
    if errors is None:
        return found
    ntk, slope = own(pair, pair.ntk), jnp.broadcast_to(after.slope, pair.ntk.shape)
    ntk_error = own(pair, slope) * pair.ntk_error + eps_of(ntk) * own(found, found.ntk)
    ntk_error += _by_position(after.slope_error, pair) * (ntk + pair.ntk_error)
    return found._replace(errors=_of_images(errors, pair), ntk_error=ntk_error)


def _beside(pair: Between) -> Errors | None:
    """Reshape the errors to broadcast with `sides`."""
    if pair.errors is None or not pair.every:
        return pair.errors
    return Errors(*(each[..., None, None] for each in pair.errors))


def _by_position(a: Array | float, pair: Between) -> Array:
    """Reshape an array that broadcasts with `sides[0]` to (pairs, height, width)."""
    return jnp.broadcast_to(a, pair.sides[0].shape).reshape(pair.q1.shape)


def _of_images(errors: Errors, pair: Between) -> Errors:
    """Replace relative errors and errors of angles at positions by the largest of the image."""
    relative, angle, variance, covariance = (_by_position(each, pair) for each in errors)
    relative, angle = (jnp.max(e, axis=(-2, -1), keepdims=True) for e in (relative, angle))
    return Errors(relative, angle, variance, covariance)


@eqx.filter_jit
def _convolved(
    pair: Between, edges: tuple[int, int], circular: bool, kernel: int, stride: int
) -> Between:
    """Average over the offsets of a kernel, in one direction and then the other."""
    pair = padded(pair, edges, circular)
    for direction in (HEIGHT, WIDTH):
        pair = joined(windows(pair, direction, kernel, stride), 1 / kernel)
    return pair if kernel == 1 else rounded_sums(pair, kernel)


@eqx.filter_jit
def _sum(one: Between, two: Between) -> Between:
    return rounded_sums(joined([one, two]), 1)


@eqx.filter_jit
def _normalised(pair: Between, by_position: bool, affine: bool, epsilon: float) -> Between:
    """Divide by the root of `Q + epsilon`, with Q the variance over channels, or its mean over the
    positions of an image. With infinitely many channels, the mean of the values is 0.

    The scale and the shift of a channel, 1 and 0, add `S + 1` to the NTK. Errors are to first
    order: Q has the relative error of the variances, and the mean of their absolute errors.
    """

    def whole(q: Array) -> Array:
        return q if by_position else jnp.broadcast_to(q.mean((-2, -1), keepdims=True), q.shape)

    inverse1, inverse2 = (1 / jnp.sqrt(whole(q) + epsilon) for q in (pair.q1, pair.q2))
    one, two = pair._replace(q1=inverse1, q2=inverse2).sides
    after = pair._replace(
        q1=rounded(pair.q1 * inverse1**2),
        q2=rounded(pair.q2 * inverse2**2),
        apart=rounded(one * two * pair.apart),
        together=rounded(one * two * pair.together),
        ntk=rounded(one * two * pair.ntk),
        reach=jnp.full_like(pair.reach, 1.0 if by_position else math.prod(pair.q1.shape[-2:])),
    )
    if pair.errors is not None:
        (relative, angle, *absolute), eps = pair.errors, eps_of(pair.q1)
        lost = inverse1**2 * whole(absolute[0])
        turned = angle + FORM_EPS * eps
        moved = (inverse1**2 * each + after.q1 * lost for each in absolute)
        ntk_error = inverse1**2 * pair.ntk_error
        ntk_error += (relative + lost + FORM_EPS * eps) * own(after, after.ntk)
        errors = Errors(2 * relative + FORM_EPS * eps, turned, *moved)
        after = after._replace(errors=errors, ntk_error=ntk_error)
    if not affine:
        return after
    after = after._replace(ntk=after.ntk + after.covariance + 1)
    if after.errors is None:
        return after
    added = _by_position(of_covariance(_alone(after)), after) + eps_of(after.ntk) * (after.q1 + 1)
    return after._replace(ntk_error=after.ntk_error + added)


@eqx.filter_jit
def _pooled(
    pair: Between, window: int | None, stride: int | None, q1: Array | None, q2: Array | None
) -> Between:
    """Average over windows of both images' positions.

    `q1` and `q2` are the variances after pooling, or None for pairs of an image with itself. The
    errors of angles become errors of covariances.
    """
    sides = [(window or side, stride or window or side) for side in pair.q1.shape[-2:]]
    covariance, ntk = (_window_means(a, sides) for a in (pair.covariance, pair.ntk))
    alone = jnp.einsum("...hwhw->...hw", covariance)
    q1, q2 = alone if q1 is None else q1, alone if q2 is None else q2
    twice = 2 * size(q1[..., None, None], q2[..., None, None, :, :])
    apart, together = (jnp.maximum(twice + sign * 2 * covariance, 0.0) for sign in (-1, 1))
    after = Between(q1, q2, apart, together, ntk, pair.reach)
    if pair.errors is None:
        return after
    lost, ntk_error = (
        _window_means(safe_sqrt(error), sides) ** 2
        for error in (_by_position(of_covariance(_alone(pair)), pair), pair.ntk_error)
    )
    none = jnp.zeros_like(lost)
    return after._replace(errors=Errors(none, none, lost, lost), ntk_error=ntk_error)


def _window_means(a: Array, sides: list[tuple[int, int]]) -> Array:
    """Average over windows of the positions of one image or of both, with the window and stride
    of each side.
    """
    for axis in range(1, a.ndim):
        window, stride = sides[(axis - 1) % 2]
        last = (a.shape[axis] - window) // stride * stride + 1
        offsets = (jax.lax.slice_in_dim(a, i, i + last, stride, axis) for i in range(window))
        a = reduce(add, offsets) / window
    return a


_between = eqx.filter_jit(between)
_started = eqx.filter_jit(started)
_flattened = eqx.filter_jit(flattened)

"""The recursion over the layers of an infinitely wide convolutional network on images.

With infinitely many channels, the values at two positions, of the same or of two images, are
Gaussian. Their covariances are propagated through the layers: between all positions of one image
and all positions of the other if the network pools, otherwise between equal positions only.
"""

import math
from functools import partial, reduce, singledispatch
from operator import add

import jax
import jax.numpy as jnp
from jaxtyping import Array

from ceflow.compiler import nodes
from ceflow.compiler.programs import brisk, program
from ceflow.kernels.infinite.duals import dual
from ceflow.kernels.infinite.errors import FORM_EPS, eps_of, of_covariance
from ceflow.kernels.infinite.errors import after_kink as errors_after_kink
from ceflow.kernels.infinite.kinks import after_kink
from ceflow.kernels.infinite.moments import Errors, Moments, ranged, scaled, size
from ceflow.kernels.infinite.polynomials import angle_of, half_angle_squares, rounded, safe_sqrt
from ceflow.kernels.infinite.positions import (
    HEIGHT,
    WIDTH,
    Between,
    averaged,
    flattened,
    itself,
    joined,
    own,
    padded,
    rounded_sums,
)
from ceflow.kernels.infinite.states import FEW_ENTRIES, FEW_NUMBERS, Images
from ceflow.spec.models import SLOPES

MOST_OFFSETS = 9
"""Largest number of offsets of a kernel that are summed in one pass over the memory."""


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
    near = state.alone(_convolved, node.edges, node.circular, node.kernel, node.stride)
    return near.each(_weighted, node.weight_variance, node.bias_variance)


@through.register
def _(node: nodes.Activation, state: Images) -> Images:
    return state.each(_activated, node.name).settled()


@through.register
def _(node: nodes.LayerNorm, state: Images) -> Images:
    return state.each(_normalised, node.by_position, node.affine, node.epsilon)


@through.register
def _(node: nodes.Scale, state: Images) -> Images:
    return state.each(_scaled, node.initial**2)


@through.register
def _(node: nodes.PositionEmbedding, state: Images) -> Images:
    return state.each(_embedded, node.variance)


@through.register
def _(node: nodes.Dropout, state: Images) -> Images:
    """Return the moments unchanged: dropout acts in training only."""
    return state


@through.register
def _(node: nodes.AveragePool, state: Images) -> Images:
    """Propagate through a pooling, with the variances after it of each image by itself."""
    sizes, state = (node.window, node.stride), state.settled()
    if state.first is not None and state.second is not None:
        after = state.each(_pooled, *sizes, state.first[0], state.second[0])
        return after._replace(first=state.first[1:], second=state.second[1:])
    q = _pooled_variance(state.before, *sizes)
    after = state._replace(found=(*state.found, q), own=None).each(_pooled, *sizes, q, q)
    if state.own is None:
        return after
    after = after.settled()
    return after._replace(own=_own_pooled(state.own, *sizes, q, _own_ntk(after.before)))


@through.register
def _(node: nodes.Flatten, state: Images) -> Images:
    return state.settled().each(flattened)


@through.register
def _(node: nodes.Residual, state: Images) -> Images:
    """Propagate through both branches, which are uncorrelated, so that all moments add."""
    state = state.settled()
    straight = state if node.shortcut is None else through(node.shortcut, state).settled()
    bent = through(node.body, straight._replace(before=state.before, own=state.own))
    return bent.each(_sum, straight)


@through.register
def _(node: nodes.Chain, state: Images) -> Images:
    for layer in node.layers:
        state = through(layer, state)
    return state


@through.register
def _(node: nodes.Ensemble, state: Images) -> Images:
    return through(node.member, state)


def _weighted(pair: Between, c: float, b: float) -> Between:
    """Apply `S <- c S + b`, then the NTK `T <- S + c T`."""
    after = _times(pair, c)
    if b:
        after = rounded_sums(joined([after, _constant(after, b)]), 1)
    return _learned(after, after)


def _times(pair: Between, c: float) -> Between:
    """Multiply all moments by c."""
    after = pair.moved(lambda a: rounded(c * a))._replace(reach=c * pair.reach)
    if pair.errors is None:
        return after
    weighted = ranged(scaled(_itself(pair), c)).errors
    assert weighted is not None
    return after._replace(errors=_of_images(weighted, pair))


def _learned(after: Between, added: Between) -> Between:
    """Add the covariance of `added` to the NTK: the part of parameters that multiply it."""
    after = after._replace(ntk=added.covariance + after.ntk)
    if after.errors is None:
        return after
    rounding = 2 * eps_of(after.ntk) * own(after, after.ntk)
    ntk_error = after.ntk_error + _by_position(of_covariance(_itself(added)), after) + rounding
    return after._replace(ntk_error=ntk_error)


def _scaled(pair: Between, c: float) -> Between:
    """Multiply channels by factors, whose squares are c: `T <- c T + S`, then `S <- c S`."""
    return _learned(_times(pair, c), pair)


def _embedded(pair: Between, v: float) -> Between:
    """Add values of variance v, which are independent at each position, and parameters."""
    equal = jnp.ones_like(pair.ntk)
    if pair.every:
        height, width = (jnp.eye(side, dtype=pair.q1.dtype) for side in pair.q1.shape[-2:])
        equal *= height[:, None, :, None] * width[:, None, :]
    alone = _constant(pair, v)
    apart, together = 2 * v * (1 - equal), 2 * v * (1 + equal)
    return _sum(pair, alone._replace(apart=apart, together=together, ntk=v * equal))


def _itself(pair: Between) -> Moments:
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


def _activated(pair: Between, name: str) -> Between:
    """Apply an activation; those with a kink at 0 have a shorter way."""
    if name not in SLOPES:
        return _bent(pair, name)
    below = SLOPES[name]
    gain = (1 + below**2) / 2
    apart, together, slope = after_kink(below, pair.apart, pair.together)
    after = pair._replace(
        q1=gain * pair.q1,
        q2=gain * pair.q2,
        apart=apart,
        together=together,
        ntk=rounded(slope * pair.ntk),
    )
    if pair.errors is None:
        return after
    errors, slope_error = errors_after_kink(gain, 1 - below / gain, _itself(pair))
    assert errors is not None
    return _with_errors(after, pair, errors, slope, slope_error)


def _bent(pair: Between, name: str) -> Between:
    """Apply any activation, by its dual."""
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
    return _with_errors(found, pair, errors, after.slope, after.slope_error)


def _with_errors(
    after: Between, before: Between, errors: Errors, slope: Array, slope_error: Array | float
) -> Between:
    """Add the errors of the moments after an activation, given that of its slope."""
    ntk, slope = own(before, before.ntk), jnp.broadcast_to(slope, before.ntk.shape)
    ntk_error = own(before, slope) * before.ntk_error + eps_of(ntk) * own(after, after.ntk)
    ntk_error += _by_position(slope_error, before) * (ntk + before.ntk_error)
    return after._replace(errors=_of_images(errors, before), ntk_error=ntk_error)


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


def _convolved(
    pair: Between, edges: tuple[int, int], circular: bool, kernel: int, stride: int
) -> Between:
    """Average over the offsets of a kernel; of a large one, in one direction and then the other."""
    pair = padded(pair, edges, circular)
    if kernel == 1:
        return averaged(pair, (HEIGHT, WIDTH), kernel, stride)
    if kernel**2 <= MOST_OFFSETS:
        return rounded_sums(averaged(pair, (HEIGHT, WIDTH), kernel, stride), kernel**2 / 2)
    for direction in (HEIGHT, WIDTH):
        pair = averaged(pair, (direction,), kernel, stride)
    return rounded_sums(pair, kernel)


def _sum(one: Between, two: Between) -> Between:
    return rounded_sums(joined([one, two]), 1)


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
    added = _by_position(of_covariance(_itself(after)), after) + eps_of(after.ntk) * (after.q1 + 1)
    return after._replace(ntk_error=after.ntk_error + added)


def _pooled(pair: Between, window: int | None, stride: int | None, q1: Array, q2: Array) -> Between:
    """Average over windows of both images' positions, given the variances after pooling."""
    sides = _sides(pair, window, stride)
    covariance, ntk = (_window_means(a, sides, True) for a in (pair.covariance, pair.ntk))
    twice = 2 * size(q1[..., None, None], q2[..., None, None, :, :])
    apart, together = (jnp.maximum(twice + sign * 2 * covariance, 0.0) for sign in (-1, 1))
    return Between(q1, q2, apart, together, ntk, pair.reach)


@partial(brisk, largest=FEW_ENTRIES)
def _pooled_variance(pair: Between, window: int | None, stride: int | None) -> Array:
    """Compute the variances after pooling, from pairs of an image with itself."""
    return own(pair, _window_means(pair.covariance, _sides(pair, window, stride), True))


@partial(program, largest=FEW_NUMBERS)
def _own_pooled(
    pair: Between, window: int | None, stride: int | None, q: Array, ntk: Array
) -> Between:
    """Return the moments of positions with themselves after pooling, given variances and NTK.

    The errors of angles become errors of covariances.
    """
    sides = _sides(pair, window, stride)
    lost, ntk_error = (
        _window_means(safe_sqrt(error), sides, False) ** 2
        for error in (_by_position(of_covariance(_itself(pair)), pair), pair.ntk_error)
    )
    none = jnp.zeros_like(lost[:, :1, :1])  # maxima over an image
    return itself(q, ntk, pair.reach)._replace(
        errors=Errors(none, none, lost, lost), ntk_error=ntk_error
    )


@partial(brisk, largest=FEW_ENTRIES)
def _own_ntk(pair: Between) -> Array:
    return own(pair, pair.ntk)


def _sides(pair: Between, window: int | None, stride: int | None) -> list[tuple[int, int]]:
    """Return window and stride in each direction."""
    return [(window or side, stride or window or side) for side in pair.q1.shape[-2:]]


def _window_means(a: Array, sides: list[tuple[int, int]], every: bool) -> Array:
    """Average over windows of the positions of one image or of both, with the window and stride
    of each side.
    """
    for axis in range(-4 if every else -2, 0):
        window, stride = sides[axis % 2]
        last = (a.shape[axis] - window) // stride * stride + 1
        offsets = (
            jax.lax.slice_in_dim(a, i, i + last, stride, axis % a.ndim) for i in range(window)
        )
        a = reduce(add, offsets) / window
    return a

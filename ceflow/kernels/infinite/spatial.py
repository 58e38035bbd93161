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
from ceflow.kernels.infinite.duals import DUALS, dual
from ceflow.kernels.infinite.moments import Moments, size
from ceflow.kernels.infinite.polynomials import angle_of, half_angle_squares, safe_sqrt

BLOCK = 2**28
"""Bytes that the moments of a block of pairs of images may take."""

COPIES = 16
"""Arrays over the pairs of positions that are alive at once."""

NO_KERNEL = (
    "a network with {} has no kernel at infinite width here: its values are not Gaussian; draw"
    " networks (empirical_ntk), or take a block without it"
)


def image_kernels(
    root: nodes.Node, x1: Float[Array, "n1 c h w"], x2: Float[Array, "n2 c h w"] | None
) -> tuple[Float[Array, "n1 n2"], Float[Array, "n1 n2"], Float[Array, ""] | float]:
    """NNGP and NTK of an infinitely wide network, and the bound on the error of its quadratures,
    relative to the NTK's largest diagonal entry.

    Without `x2` of `x1` with itself, and then each pair is done once.
    """
    require_gaussian(root)
    nngp, ntk = _of_pairs(root, x1, x2)
    if activations(root) <= set(DUALS):
        return nngp, ntk, 0.0
    return nngp, ntk, _error(root, x1 if x2 is None else jnp.concatenate([x1, x2]))


@eqx.filter_jit
def _of_pairs(root: nodes.Node, x1: Array, x2: Array | None) -> tuple[Array, Array]:
    def pair(indices: Array) -> tuple[Array, Array]:
        i, j = indices
        across = through(root, images(x1[i], other[j], root)).across
        return across.covariance.squeeze(), across.ntk.squeeze()

    other = x1 if x2 is None else x2
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
        across = through(root, images(image, image, root)).across
        return across.ntk_error, across.ntk.squeeze()

    errors, diagonal = jax.lax.map(own, x, batch_size=min(len(x), _at_once(root, x)))
    return jnp.max(errors) / jnp.max(diagonal)


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
    error: Array
    """Bound on the error of all covariances, by quadrature."""
    ntk_error: Array
    """The same of the NTK."""

    @property
    def sides(self) -> tuple[Array, Array]:
        """`q1` and `q2` as they go with the others."""
        return self.q1[(..., *(None,) * (self.apart.ndim - 2))], self.q2

    def moved(self, function: Callable[[Array], Array]) -> "Between":
        """The same linear map of positions for all moments."""
        q1, q2, covariance, apart, together, ntk = map(function, self[:6])
        moved = (q1, q2, covariance, apart, together, ntk)
        return Between(*moved, self.error, self.ntk_error)

    def plus(self, other: "Between") -> "Between":
        """The moments of a sum of uncorrelated values."""
        return Between(*(a + b for a, b in zip(self, other, strict=True)))


class Images(NamedTuple):
    """Two images: one with the other, and each with itself, which pooling mixes."""

    across: Between
    first: Between
    second: Between

    def each(self, function: Callable[[Between], Between]) -> "Images":
        """The same for all three."""
        return Images(*map(function, self))


def images(x1: Float[Array, "c h w"], x2: Float[Array, "c h w"], root: nodes.Node) -> Images:
    """Two inputs as the network `root` needs them."""
    pairs = ((x1, x2), (x1, x1), (x2, x2))
    return Images(*(_between(one, two, pools(root)) for one, two in pairs))


def pools(root: nodes.Node) -> bool:
    """Whether a network mixes positions other than by convolution."""
    return any(isinstance(node, nodes.AveragePool) for node in nodes.every(root))


def activations(root: nodes.Node) -> set[str]:
    """The names of a network's activations."""
    return {node.name for node in nodes.every(root) if isinstance(node, nodes.Activation)}


def require_gaussian(node: nodes.Node, gaussian: bool = False) -> bool:
    """Whether the values after a layer are Gaussian, given whether those before it are.

    Raises `ValueError` where an activation meets values that are not: such a network has a limit,
    but no closed recursion leads to it.
    """
    match node:
        case nodes.Dense() | nodes.Convolution():
            return True
        case nodes.Activation():
            if not gaussian:
                raise ValueError(
                    f"{node.name} acts on values that are not Gaussian at infinite width: put a"
                    " dense layer or a convolution before it (in a residual network, on the"
                    " shortcut, or the activation at the head of the body)"
                )
            return False
        case nodes.BatchNorm() | nodes.MaxPool():
            raise ValueError(NO_KERNEL.format(type(node).__name__))
        case nodes.Residual():
            body = require_gaussian(node.body, gaussian)
            straight = node.shortcut and require_gaussian(node.shortcut, gaussian)
            if not any(_ends_in_weights(branch) for branch in (node.body, node.shortcut)):
                raise ValueError(
                    "neither branch of a residual connection ends in weights of its own, so that"
                    " they are correlated: end the body or the shortcut in a dense layer or a"
                    " convolution"
                )
            return body and bool(gaussian if straight is None else straight)
        case nodes.Chain():
            for layer in node.layers:
                gaussian = require_gaussian(layer, gaussian)
            return gaussian
        case nodes.Ensemble():
            return require_gaussian(node.member, gaussian)
        case _:
            return gaussian


def _ends_in_weights(node: nodes.Node | None) -> bool:
    match node:
        case nodes.Dense() | nodes.Convolution():
            return True
        case nodes.Chain():
            return _ends_in_weights(node.layers[-1])
        case nodes.Ensemble():
            return _ends_in_weights(node.member)
        case nodes.Residual():
            return _ends_in_weights(node.body) and _ends_in_weights(node.shortcut)
        case _:
            return False


def _between(one: Array, two: Array, every: bool) -> Between:
    q1, q2 = (one**2).mean(axis=0), (two**2).mean(axis=0)
    one = one[:, :, :, None, None] if every else one
    two = two[:, None, None, :, :] if every else two
    both = one * two, (one - two) ** 2, (one + two) ** 2
    covariance, apart, together = (values.mean(axis=0) for values in both)
    ntk, none = jnp.zeros_like(covariance), jnp.zeros((), covariance.dtype)
    return Between(q1, q2, covariance, apart, together, ntk, none, none)


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
    moved = pair.moved(lambda a: c * a)
    return Between(
        moved.q1 + b,
        moved.q2 + b,
        moved.covariance + b,
        moved.apart,
        moved.together + 4 * b,
        moved.covariance + b + moved.ntk,
        c * pair.error,
        c * (pair.error + pair.ntk_error),
    )


def _activated(pair: Between, name: str) -> Between:
    q1, q2 = pair.sides
    unequal, scale = (safe_sqrt(q1) - safe_sqrt(q2)) ** 2, 4 * size(q1, q2)
    one = jnp.where(scale > 0, scale, 1.0)
    s, k = (jnp.maximum(a - unequal, 0.0) / one for a in (pair.apart, pair.together))
    angle = jnp.where(scale > 0, angle_of(s, k), 0.0)
    after, slope, slope_error = dual(name, Moments(q1, q2, angle, pair.covariance, pair.error))
    ntk_error = jnp.max(slope) * pair.ntk_error + jnp.max(jnp.asarray(slope_error)) * (
        jnp.max(pair.ntk) + pair.ntk_error
    )
    s, k = half_angle_squares(after.angle)
    unequal = (safe_sqrt(after.q1) - safe_sqrt(after.q2)) ** 2
    scale = 4 * size(after.q1, after.q2)
    return Between(
        after.q1.reshape(pair.q1.shape),
        after.q2.reshape(pair.q2.shape),
        after.covariance,
        unequal + scale * s,
        unequal + scale * k,
        slope * pair.ntk,
        jnp.max(jnp.asarray(after.error)),
        ntk_error,
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
    errors = before.error, before.ntk_error
    return Between(q1, q2, covariance, apart, together, ntk, *errors)

"""Kernels of an infinitely wide network on images, in batches of pairs."""

import math
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Int

from ceflow.compiler import nodes
from ceflow.compiler.programs import brisk, program
from ceflow.kernels.costs import TRIED_IMAGES
from ceflow.kernels.infinite.errors import over_largest
from ceflow.kernels.infinite.positions import Between, between, started
from ceflow.kernels.infinite.spatial import pools, through
from ceflow.kernels.infinite.states import (
    FEW_ENTRIES,
    FEW_NUMBERS,
    Arrays,
    Images,
    Step,
    applied,
    resolved,
)

MOST_ENTRIES = 2**18
"""Largest number of pairs of positions in a batch of pairs of images, unless one pair has more: its
arrays stay in the cache of a CPU."""

MOST_PAIRS = 256
"""Largest number of pairs of images in a batch if all pairs of their positions are followed.

The last batch is padded by repetition, so that one shape is compiled and an entry is bit for bit
the same among any others."""

EQUAL_ENTRIES = 2**16
"""Largest number of pairs of positions in a batch if only equal positions are followed."""

Batch = tuple[Int[np.ndarray, "..."], Int[np.ndarray, "..."]]
"""Indices of the first and of the second images of pairs, which broadcast."""


def image_kernels(
    root: nodes.Node, x1: Float[Array, "n1 c h w"], x2: Float[Array, "n2 c h w"] | None
) -> tuple[Float[Array, "n1 n2"], Float[Array, "n1 n2"]]:
    """Compute NNGP and NTK of an infinitely wide network.

    Without `x2`, the kernels are those of `x1` with itself, and each pair is computed once. The
    network is one that `require_outputs` allows.
    """
    other = x1 if x2 is None else x2
    reach = _reach(x1, other)
    first = _pooled_variances(root, x1, reach)
    second = first if x2 is None else _pooled_variances(root, other, reach)

    def pair(at: Batch) -> tuple[Array, Array]:
        start = _pairs(x1, other, at, pools(root), reach)
        one, two = (tuple(q[k] for q in each) for each, k in ((first, at[0]), (second, at[1])))
        state = through(root, Images(start, one, two))
        return _values(state.before, resolved(state.steps, False))

    batches = _blocks if not pools(root) else _lists
    at = batches(len(x1), len(other), x2 is None, _at_once(root, x1))
    values = _in_batches(pair, at, x1, other)
    nngp, ntk = (_matrix(each, at, (len(x1), len(other)), x2 is None) for each in values)
    return nngp, ntk


def image_error(root: nodes.Node, x1: Array, x2: Array | None) -> Float[Array, ""]:
    """Bound the kernels' errors relative to the NTK's largest diagonal entry.

    Errors are computed on the diagonal: the error of any entry is at most the larger of those of
    its two images.
    """
    x = _tried(x1, x2)
    reach = _reach(x, x)

    def alone(at: Batch) -> tuple[Array, Array]:
        start = _pairs(x, x, at, pools(root), reach)
        own = _started(start, x[at[0]])
        state = Images(start, own=own) if pools(root) else Images(own)
        state = through(root, state).settled()
        return _found(state.own or state.before)

    at = _alone(len(x), _at_once(root, x) if pools(root) else TRIED_IMAGES)
    errors, diagonal = _in_batches(alone, at, x)
    return _over_largest(jnp.asarray(errors), jnp.asarray(diagonal))


@brisk
def _tried(x1: Array, x2: Array | None) -> Float[Array, "tried c h w"]:
    """Choose images whose norms are spread over those of all, with the smallest and largest."""
    x = x1 if x2 is None else jnp.concatenate([x1, x2])
    order = jnp.argsort((x**2).sum(axis=(1, 2, 3)))
    tried = min(TRIED_IMAGES, len(x))
    return x[order[np.linspace(0, len(x) - 1, tried).round().astype(int)]]


@program
def _found(own: Between) -> tuple[Array, Array]:
    """Return the errors and the NTK; numbers out of the range of their type have no bound."""
    held = jnp.isfinite(own.covariance)
    return jnp.where(held, own.ntk_error, jnp.inf).reshape(-1), own.ntk.reshape(-1)


def _pooled_variances(root: nodes.Node, x: Array, reach: Array) -> tuple[Array | np.ndarray, ...]:
    """Compute each image's variances after each pooling, from covariances of its positions."""
    if not pools(root):
        return ()

    def alone(at: Batch) -> Arrays:
        start = _pairs(x, x, at, True, reach)
        return through(root, Images(start)).found

    found = _in_batches(alone, _alone(len(x), _at_once(root, x)), x, reach)
    return tuple(each[: len(x)] for each in found)


def _lists(n1: int, n2: int, mirror: bool, count: int) -> Batch:
    """Return batches of `count` pairs; the last batch is padded. If `mirror`, pairs have i <= j."""
    pairs = np.triu_indices(n1) if mirror else np.indices((n1, n2))
    at = np.stack([np.ravel(each) for each in pairs])
    filled = np.pad(at, [(0, 0), (0, -at.shape[1] % count)], mode="edge")
    i, j = filled.reshape(2, -1, count)
    return i, j


def _alone(n: int, count: int) -> Batch:
    """Return batches of `count` pairs of an image with itself; the last batch is padded."""
    i = np.pad(np.arange(n), (0, -n % count), mode="edge").reshape(-1, count)
    return i, i


def _blocks(n1: int, n2: int, mirror: bool, count: int) -> Batch:
    """Return batches of the pairs of some first and some second images, `count` or fewer.

    Variances are then propagated once per image, and not per pair.
    """
    side = math.isqrt(count)
    rows, columns = (
        np.minimum(np.arange(-(-n // side) * side), n - 1).reshape(-1, side) for n in (n1, n2)
    )
    i, j = (
        np.triu_indices(len(rows))
        if mirror
        else map(np.ravel, np.indices((len(rows), len(columns))))
    )
    return rows[i][:, :, None], columns[j][:, None, :]


def _in_batches(function: Callable[[Batch], Arrays], at: Batch, *inputs: Array) -> Arrays:
    """Apply a function of indices to all batches.

    Layers are compiled separately, so that repeated layers are compiled once. Only if JAX traces
    the `inputs`, for a derivative or within a larger program, the batches are one compiled loop.
    """
    if any(isinstance(each, Tracer) for each in inputs):
        found = jax.lax.map(function, jax.tree.map(jnp.asarray, at))
        return jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), found)
    results = []
    for batch in zip(*at, strict=True):
        results.append(function(batch))
        jax.block_until_ready(results[-2:-1])  # two batches run at once, and no more are held
    return jax.tree.map(lambda *parts: np.concatenate(list(map(np.asarray, parts))), *results)


def _matrix(
    values: Float[Array, " pairs"] | np.ndarray, at: Batch, shape: tuple[int, int], mirror: bool
) -> Float[Array, "n1 n2"]:
    """Arrange the values of pairs in a matrix; if `mirror`, those of pairs with i <= j twice."""
    i, j = (np.ravel(each) for each in np.broadcast_arrays(*at))
    which, places = np.arange(len(i)), np.zeros(shape, int)
    if mirror:
        upper = i <= j
        i, j, which = i[upper], j[upper], which[upper]
        places[j, i] = which
    places[i, j] = which
    return jnp.asarray(values[places])


def _reach(*batches: Float[Array, "n c h w"]) -> Float[Array, ""]:
    """Compute the largest mean square over channels, among all images and positions."""
    if any(isinstance(x, Tracer) for x in batches):
        return jnp.stack([(x**2).mean(axis=1).max() for x in batches]).max()
    with np.errstate(over="ignore"):  # such a kernel is refused, with a message of its own
        largest = [(np.asarray(x) ** 2).mean(axis=1).max() for x in batches]
    return jnp.asarray(np.max(largest))


@brisk
def _pairs(
    x1: Float[Array, "n1 c h w"],
    x2: Float[Array, "n2 c h w"],
    at: Batch,
    every: bool,
    reach: Float[Array, ""],
) -> Between:
    """Return the moments of pairs of input images."""
    return between(x1[at[0]], x2[at[1]], every, reach)


@partial(brisk, largest=FEW_ENTRIES)
def _values(pair: Between, steps: tuple[Step, ...]) -> tuple[Array, Array]:
    """Return the covariance and the NTK of each pair."""
    pair = applied(pair, steps)
    return pair.covariance.reshape(-1), pair.ntk.reshape(-1)


def _at_once(root: nodes.Node, x: Array) -> int:
    """Return the number of pairs of images in a batch."""
    positions = math.prod(x.shape[2:])
    if pools(root):
        return max(1, min(MOST_PAIRS, MOST_ENTRIES // positions**2))
    return max(1, EQUAL_ENTRIES // positions)


_started = program(started, FEW_NUMBERS)
_over_largest = program(over_largest)

"""Contraction of the features of two batches of examples to their kernel."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ceflow.kernels.empirical.features import Features


def contract(one: Features, two: Features, trace: bool) -> Float[Array, "n1 n2 ..."]:
    """Compute the kernel of each example of `one` with each of `two`.

    The shape is (n1, n2, outputs, outputs), or (n1, n2) with `trace`.
    """
    terms = [
        _outer_products(h, delta, h2, delta2, trace)
        for h, delta, h2, delta2 in zip(one.h, one.delta, two.h, two.delta, strict=True)
    ]
    terms += [_inner(a, b, trace) for a, b in zip(one.gradients, two.gradients, strict=True)]
    total = sum(terms[1:], start=terms[0])
    return total if trace else jnp.transpose(total, (0, 2, 1, 3))


def symmetric(kernel: Float[Array, "n n ..."]) -> Float[Array, "n n ..."]:
    """Mirror the entries above the diagonal, so that the kernel is exactly symmetric."""
    indices = jnp.arange(len(kernel)).reshape(-1, *[1] * (kernel.ndim - 1))
    columns = jnp.swapaxes(indices, 0, 1)
    upper = indices < columns
    if kernel.ndim == 4:
        output = jnp.arange(kernel.shape[2]).reshape(-1, 1)
        upper |= (indices == columns) & (output <= output.T)
    return jnp.where(upper, kernel, transposed(kernel))


def transposed(kernel: Float[Array, "n m ..."]) -> Float[Array, "m n ..."]:
    """Return `K(x', x)` given `K(x, x')`: swap the axes of examples and those of outputs."""
    return jnp.transpose(kernel, (1, 0, 3, 2)[: kernel.ndim])


def _outer_products(h: Array, delta: Array, h2: Array, delta2: Array, trace: bool) -> Array:
    """Compute `sum_b sum_pp' (h_bp.h'_bp')(delta_bp.delta'_bp')`, one pair of vectors at a time."""

    def term(pair: tuple[Any, Any]) -> Array:
        one, two = pair
        inner = vectors[0][one] @ vectors[1][two].T
        if trace:
            return inner * _inner(gradients[0][one], gradients[1][two], trace)
        return inner[:, None, :, None] * _inner(gradients[0][one], gradients[1][two], trace)

    batch, _, free = h.shape[1:]
    # axes: (batch and free, examples, [outputs,] size)
    vectors = [jnp.moveaxis(each, (1, 3), (0, 1)) for each in (h, h2)]
    gradients = [jnp.moveaxis(each, (2, 4), (0, 1)) for each in (delta, delta2)]
    vectors, gradients = (
        [each.reshape(batch * free, *each.shape[2:]) for each in many]
        for many in (vectors, gradients)
    )
    first, rest = _pairs(batch, free)
    total = term(first)
    if not len(rest[0]):
        return total
    return jax.lax.scan(lambda total, pair: (total + term(pair), None), total, rest)[0]


def _pairs(batch: int, free: int) -> tuple[tuple[int, int], tuple[Any, Any]]:
    """List the pairs of vectors to multiply, by index: the first pair, and all others."""
    index = np.arange(batch * free).reshape(batch, free)
    one, two = (np.broadcast_to(each, (batch, free, free)).reshape(-1) for each in _crossed(index))
    return (int(one[0]), int(two[0])), (one[1:], two[1:])


def _crossed(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return index[:, :, None], index[:, None, :]


def _inner(one: Array, two: Array, trace: bool) -> Array:
    """Contract (n1, outputs, size) with (n2, outputs, size).

    The result is (n1, outputs, n2, outputs), or its trace over outputs, (n1, n2).
    """
    if trace:
        return one.reshape(len(one), -1) @ two.reshape(len(two), -1).T
    return jnp.einsum("nai,mbi->namb", one, two)

"""Convolutions of 3x3 windows by fewer products (Lavin and Gray, CVPR 2016, section 4.1).

A tile of 2x2 outputs of a channel depends on 4x4 inputs. Sums of inputs, `B^T x B`, and of the
kernel, `G w G^T`, are multiplied number by number, and sums of these, `A^T m A`, are the outputs:
16 products in place of 36. Over channels the products are 16 matrix products. Errors in float32
were 0.7 to 1.7 times those without it. Arrays have the examples last.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Images = Float[Array, "channels height width batch"]
Tiles = Float[Array, "16 channels tiles"]
Rule = Callable[[list[Array]], list[Array]]


def convolved(x: Images, weight: Float[Array, "out into 3 3"]) -> Images:
    """Convolve images without edges; the outputs have two rows and two columns less.

    >>> convolved(jnp.ones((2, 4, 4, 1)), jnp.ones((3, 2, 3, 3))).shape
    (3, 2, 2, 1)
    """
    height, width = x.shape[1] - 2, x.shape[2] - 2
    tiles = -(-height // 2), -(-width // 2)
    taken = jnp.einsum("koi,kit->kot", _of_kernels(weight), _of_images(_even(x)))
    taken = jax.lax.optimization_barrier(taken).reshape(4, 4, len(weight), *tiles, x.shape[-1])
    rows = _stacked(_outputs, taken, axis=4)
    y = _stacked(_outputs, rows, axis=2).reshape(len(weight), 2 * tiles[0], 2 * tiles[1], -1)
    return y[:, :height, :width]


def correlated(x: Images, y: Images) -> Float[Array, "out into 3 3"]:
    """Sum products of images x and of images y that are smaller by two rows and two columns: the
    gradient of the weights, if y is that of the outputs of `convolved`.

    >>> correlated(jnp.ones((2, 4, 4, 1)), jnp.ones((3, 2, 2, 1)))[0, 0, 0]
    Array([4., 4., 4.], dtype=float32)
    """
    out, into = len(y), len(x)
    taken = jnp.einsum("kot,kit->koi", _of_outputs(_even(y)), _of_images(_even(x)))
    taken = jax.lax.optimization_barrier(taken).reshape(4, 4, out, into)
    columns = _stacked(_kernels, taken)
    rows = _stacked(_kernels, columns.swapaxes(0, 1))
    return rows.reshape(9, out * into).T.reshape(out, into, 3, 3)


def _of_images(x: Images) -> Tiles:
    """Compute `B^T x B` of each tile: positions of rows lie two apart, then those of columns."""
    into, height, width, batch = x.shape
    rows = _stacked(_inputs, _windows(x, 1))
    columns = _stacked(_inputs, _windows(rows, 3))
    return columns.reshape(16, into, (height // 2 - 1) * (width // 2 - 1) * batch)


def _windows(x: Array, axis: int) -> list[Array]:
    """Take each of the four positions of all windows along an axis."""
    end = x.shape[axis] - 3
    return [jax.lax.slice_in_dim(x, at, at + end, 2, axis=axis) for at in range(4)]


def _of_kernels(weight: Float[Array, "out into 3 3"]) -> Tiles:
    """Compute `G w G^T` of each kernel."""
    out, into = weight.shape[:2]
    first = weight.reshape(out * into, 9).T.reshape(3, 3, out, into)
    rows = _stacked(_weights, jax.lax.optimization_barrier(first))
    return _stacked(_weights, rows.swapaxes(0, 1)).reshape(16, out, into)


def _of_outputs(y: Images) -> Tiles:
    """Compute `A y A^T` of each tile."""
    out, height, width, batch = y.shape
    tiles = y.reshape(out, height // 2, 2, width // 2, 2, batch)
    rows = _stacked(_gradients, jnp.moveaxis(tiles, 2, 0))
    return _stacked(_gradients, jnp.moveaxis(rows, 4, 0)).reshape(16, out, -1)


def _inputs(x: list[Array]) -> list[Array]:
    """Multiply by `B^T`."""
    return [x[0] - x[2], x[1] + x[2], x[2] - x[1], x[1] - x[3]]


def _weights(w: list[Array]) -> list[Array]:
    """Multiply by `G`."""
    return [w[0], (w[0] + w[1] + w[2]) / 2, (w[0] - w[1] + w[2]) / 2, w[2]]


def _outputs(m: list[Array]) -> list[Array]:
    """Multiply by `A^T`."""
    return [m[0] + m[1] + m[2], m[1] - m[2] - m[3]]


def _gradients(y: list[Array]) -> list[Array]:
    """Multiply by `A`."""
    return [y[0], y[0] + y[1], y[0] - y[1], -y[1]]


def _kernels(m: list[Array]) -> list[Array]:
    """Multiply by `G^T`."""
    return [m[0] + (m[1] + m[2]) / 2, (m[1] - m[2]) / 2, (m[1] + m[2]) / 2 + m[3]]


def _stacked(rule: Rule, parts: Array | list[Array], axis: int = 0) -> Array:
    """Apply a rule to the parts along the first axis, and stack the results, which are computed
    once.
    """
    return jax.lax.optimization_barrier(jnp.stack(rule([*parts]), axis=axis))


def _even(x: Images) -> Images:
    """Add a last row and column of zeros where their number is odd."""
    return jnp.pad(x, [(0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)])

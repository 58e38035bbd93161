"""Layers without weights: the activations that specs can name, and pooling."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def linear(x: Array) -> Array:
    """Return the input: the activation of deep linear networks."""
    return x


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "leaky-relu": jax.nn.leaky_relu,
    "abs": jnp.abs,
    "linear": linear,
    "erf": jax.scipy.special.erf,
    "gelu": partial(jax.nn.gelu, approximate=False),  # x Phi(x), Phi the normal distribution
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tanh": jnp.tanh,
    "softplus": jax.nn.softplus,
    "silu": jax.nn.silu,
}
"""Activation functions by the names that specs use."""


def average_pool(
    x: Float[Array, "channels height width"], window: int
) -> Float[Array, "channels height_out width_out"]:
    """Average over adjacent windows; positions that do not fill a window are dropped.

    >>> average_pool(jnp.arange(16.0).reshape(1, 4, 4), 2)[0]
    Array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """
    shape = (1, window, window)
    sums = jax.lax.reduce_window(x, 0.0, jax.lax.add, shape, shape, "VALID")
    return sums / window**2


def max_pool(
    x: Float[Array, "channels height width"], window: int, stride: int
) -> Float[Array, "channels height_out width_out"]:
    """Take the maximum over windows `stride` apart; the image is padded by half a window.

    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4), 3, 2)[0]
    Array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """
    edge = (window // 2, window // 2)
    shape, strides = (1, window, window), (1, stride, stride)
    padding = ((0, 0), edge, edge)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, shape, strides, padding)


def global_average(x: Float[Array, "channels height width"]) -> Float[Array, " channels"]:
    """Average over all positions."""
    return x.mean(axis=(1, 2))

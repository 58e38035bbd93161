"""Layers without weights: the activations that specs can name, and pooling."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.spec.models.activations import ADDED


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
    **{name: added.function for name, added in ADDED.items()},
}
"""Activation functions by the names that specs use."""


def average_pool(
    x: Float[Array, "channels height width"], window: int, stride: int | None = None
) -> Float[Array, "channels height_out width_out"]:
    """Average over windows `stride` apart, by default adjacent ones; positions that do not fill
    a window are dropped.

    >>> average_pool(jnp.arange(16.0).reshape(1, 4, 4), 2)[0]
    Array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """
    shape = (1, window, window)
    strides = (1, stride or window, stride or window)
    sums = jax.lax.reduce_window(x, 0.0, jax.lax.add, shape, strides, "VALID")
    return sums / window**2


def max_pool(
    x: Float[Array, "channels height width"],
    window: int,
    stride: int,
    edges: tuple[int, int] = (0, 0),
) -> Float[Array, "channels height_out width_out"]:
    """Take the maximum over windows `stride` apart; `edges` are the positions added before and
    after each axis, which are never the maximum.

    >>> max_pool(jnp.arange(16.0).reshape(1, 4, 4), 3, 2, (1, 1))[0]
    Array([[ 5.,  7.],
           [13., 15.]], dtype=float32)
    """
    shape, strides = (1, window, window), (1, stride, stride)
    padding = ((0, 0), edges, edges)
    return jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, shape, strides, padding)


def global_average(x: Float[Array, "channels height width"]) -> Float[Array, " channels"]:
    """Average over all positions."""
    return x.mean(axis=(1, 2))

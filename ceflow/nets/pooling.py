"""Average pooling, and from an image to a vector."""

import jax
from jaxtyping import Array, Float


def average_pool(
    x: Float[Array, "channels height width"], window: int
) -> Float[Array, "channels height_out width_out"]:
    """The mean over windows side by side; what does not fill a window is left out.

    >>> import jax.numpy as jnp
    >>> average_pool(jnp.arange(16.0).reshape(1, 4, 4), 2)[0]
    Array([[ 2.5,  4.5],
           [10.5, 12.5]], dtype=float32)
    """
    shape = (1, window, window)
    sums = jax.lax.reduce_window(x, 0.0, jax.lax.add, shape, shape, "VALID")
    return sums / window**2


def global_average(x: Float[Array, "channels height width"]) -> Float[Array, " channels"]:
    """The mean over all positions."""
    return x.mean(axis=(1, 2))

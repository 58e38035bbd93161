"""Learned factors of channels."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


class Scale(eqx.Module):
    """`h -> weight h`, with a weight for each channel; all start at `initial`.

    >>> Scale(2, initial=0.5)(jnp.ones((2, 1, 1))).ravel()
    Array([0.5, 0.5], dtype=float32)
    """

    weight: Float[Array, " channels"]
    initial: float = eqx.field(static=True)

    def __init__(self, channels: int, *, initial: float = 1.0):
        self.weight = jnp.full(channels, initial)
        self.initial = initial

    def __call__(
        self, x: Float[Array, "channels *positions"], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "channels *positions"]:
        """Apply the layer. `key` is ignored; `equinox.nn.Sequential` passes it."""
        return self.weight.reshape(-1, *(1,) * (x.ndim - 1)) * x

"""Layer normalisation: of each example by itself, so that there is no state."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


class LayerNorm(eqx.Module):
    """`h -> weight (h - mean) / sqrt(variance + eps) + bias`, for each example.

    Mean and variance are taken over all channels and positions, or with `by_position` over the
    channels at each position. Each channel has a weight and a bias, which start at 1 and 0, unless
    `affine` is False.

    >>> norm = LayerNorm(4, by_position=True)
    >>> (10 * norm(jnp.arange(16.0).reshape(4, 2, 2))[:, 0, 0]).round()
    Array([-13.,  -4.,   4.,  13.], dtype=float32)
    """

    weight: Float[Array, " channels"] | None
    bias: Float[Array, " channels"] | None
    by_position: bool = eqx.field(static=True)
    eps: float = eqx.field(static=True)

    def __init__(
        self, channels: int, *, by_position: bool = False, affine: bool = True, eps: float = 1e-5
    ):
        self.weight = jnp.ones(channels) if affine else None
        self.bias = jnp.zeros(channels) if affine else None
        self.by_position = by_position
        self.eps = eps

    def __call__(
        self, x: Float[Array, "channels *positions"], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "channels *positions"]:
        """Apply the layer. `key` is ignored; `equinox.nn.Sequential` passes it."""
        axes = 0 if self.by_position else None
        # E[x^2] - E[x]^2 would lose digits.
        centred = x - x.mean(axis=axes, keepdims=True)
        variance = (centred**2).mean(axis=axes, keepdims=True)
        y = centred / jnp.sqrt(variance + self.eps)
        if self.weight is None or self.bias is None:
            return y
        weight, bias = (each.reshape(-1, *(1,) * (x.ndim - 1)) for each in (self.weight, self.bias))
        return weight * y + bias

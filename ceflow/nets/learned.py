"""Learned factors of channels, and learned vectors of positions."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ceflow.nets.weighted import Weighted


class PositionEmbedding(Weighted):
    """`h(p) -> h(p) + sqrt(v) e(p)` at the positions p of an image, entries of e iid N(0, 1).

    `v` is `variance`. In `standard` parameterisation the layer adds `e(p)`, of initial variance v.

    >>> import jax
    >>> PositionEmbedding((2, 3, 3), key=jax.random.key(0))(jax.numpy.ones((2, 3, 3))).shape
    (2, 3, 3)
    """

    weight: Float[Array, "channels height width"]

    def __init__(
        self,
        shape: tuple[int, int, int],
        *,
        variance: float = 1.0,
        standard: bool = False,
        key: Key[Array, ""],
    ):
        super().__init__(shape, variance, 0.0, 1, standard, key)

    @property
    def fan_in(self) -> int:
        """Number of vectors that are added to each output."""
        return 1

    def __call__(
        self, x: Float[Array, "channels height width"], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "channels height width"]:
        """Apply the layer. `key` is ignored; `equinox.nn.Sequential` passes it."""
        factor, _ = self.factors()
        return x + factor * self.weight


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

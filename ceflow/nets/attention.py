"""Attention between the positions of an image."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ceflow.nets.convolution import Convolution


class Attention(eqx.Module):
    """Multi-head attention, each position a token (Vaswani et al. 2017, eq. 1).

    A head computes `softmax(q.k / sqrt(head_width)) v`, with queries q, keys k and values v that
    are linear in the channels at a position. The outputs of all heads are concatenated and go
    through one more linear layer: in NTK parameterisation, heads are the members of an ensemble,
    summed and divided by the square root of their number.

    >>> attention = Attention(6, heads=2, head_width=3, key=jax.random.key(0))
    >>> attention(jnp.ones((6, 2, 2))).shape
    (6, 2, 2)
    """

    queries: Convolution
    keys: Convolution
    values: Convolution
    output: Convolution
    heads: int = eqx.field(static=True)

    def __init__(
        self,
        channels: int,
        *,
        heads: int,
        head_width: int,
        weight_variance: float = 1.0,
        bias_variance: float = 0.0,
        standard: bool = False,
        key: Key[Array, ""],
    ):
        width = heads * head_width
        sizes = ((channels, width),) * 3 + ((width, channels),)
        self.queries, self.keys, self.values, self.output = (
            Convolution(
                *size,
                kernel=1,
                weight_variance=weight_variance,
                bias_variance=bias_variance,
                standard=standard,
                key=each,
            )
            for size, each in zip(sizes, jax.random.split(key, 4), strict=True)
        )
        self.heads = heads

    def __call__(
        self, x: Float[Array, "channels height width"], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "channels height width"]:
        """Apply the layer. `key` is ignored; `equinox.nn.Sequential` passes it."""
        layers = self.queries, self.keys, self.values
        q, k, v = (self._by_head(layer(x)) for layer in layers)
        scores = jnp.einsum("hdp,hdq->hpq", q, k) / math.sqrt(q.shape[1])
        mixed = jnp.einsum("hpq,hdq->hdp", jax.nn.softmax(scores, axis=-1), v)
        return self.output(mixed.reshape(-1, *x.shape[1:]))

    def _by_head(self, x: Array) -> Array:
        return x.reshape(self.heads, -1, math.prod(x.shape[1:]))

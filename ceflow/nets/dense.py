"""The dense layer in NTK parameterisation."""

import math

import equinox as eqx
import jax
from jaxtyping import Array, Float, Key


class Dense(eqx.Module):
    """`h -> sqrt(c/fan_in) W h + sqrt(b) beta`, entries of W and beta iid N(0, 1) (CE eq. 3).

    `c` is `weight_variance`, `b` is `bias_variance`; at b = 0 there is no bias.
    One example in, one out: `jax.vmap` makes the batch. Arrays are of JAX's default float type.

    >>> Dense(3, 2, key=jax.random.key(0))(jax.numpy.ones(3)).shape
    (2,)
    """

    weight: Float[Array, "fan_out fan_in"]
    bias: Float[Array, " fan_out"] | None
    weight_variance: float = eqx.field(static=True)
    bias_variance: float = eqx.field(static=True)

    def __init__(
        self,
        fan_in: int,
        fan_out: int,
        *,
        weight_variance: float = 1.0,
        bias_variance: float = 0.0,
        key: Key[Array, ""],
    ):
        weight_key, bias_key = jax.random.split(key)
        self.weight = jax.random.normal(weight_key, (fan_out, fan_in))
        self.bias = jax.random.normal(bias_key, (fan_out,)) if bias_variance else None
        self.weight_variance = weight_variance
        self.bias_variance = bias_variance

    def __call__(
        self, x: Float[Array, " fan_in"], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, " fan_out"]:
        """Apply the layer; `key` is ignored, and there for `equinox.nn.Sequential`."""
        fan_in = self.weight.shape[1]
        if x.shape != (fan_in,):
            raise ValueError(
                f"a dense layer of {fan_in} inputs was given an array of shape {x.shape};"
                " modules take one example, batch them with jax.vmap"
            )
        # The scale goes on the output: kernels find a layer by its bare product W h.
        y = math.sqrt(self.weight_variance / fan_in) * (self.weight @ x)
        return y if self.bias is None else y + math.sqrt(self.bias_variance) * self.bias

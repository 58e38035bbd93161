"""The convolution in NTK parameterisation, grouped or not."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key


class Convolution(eqx.Module):
    """`h -> sqrt(c/fan_in) W * h + sqrt(b) beta` on an image, entries of W, beta iid N(0, 1).

    `fan_in = kernel^2 channels_in / groups` (CE section 4.2). Zero padding of `kernel // 2` on
    every side, so that an odd kernel at stride 1 keeps the size of the image. One example in, one
    out.

    >>> convolution = Convolution(4, 6, kernel=3, groups=2, key=jax.random.key(0))
    >>> convolution(jnp.ones((4, 8, 8))).shape
    (6, 8, 8)
    """

    weight: Float[Array, "channels_out channels_per_group kernel kernel"]
    bias: Float[Array, " channels_out"] | None
    stride: int = eqx.field(static=True)
    groups: int = eqx.field(static=True)
    weight_variance: float = eqx.field(static=True)
    bias_variance: float = eqx.field(static=True)

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        weight_variance: float = 1.0,
        bias_variance: float = 0.0,
        key: Key[Array, ""],
    ):
        if channels_in % groups or channels_out % groups:
            raise ValueError(
                f"{channels_in} channels in and {channels_out} out cannot be split into"
                f" {groups} groups"
            )
        weight_key, bias_key = jax.random.split(key)
        shape = (channels_out, channels_in // groups, kernel, kernel)
        self.weight = jax.random.normal(weight_key, shape)
        self.bias = jax.random.normal(bias_key, (channels_out,)) if bias_variance else None
        self.stride = stride
        self.groups = groups
        self.weight_variance = weight_variance
        self.bias_variance = bias_variance

    def __call__(
        self, x: Float[Array, "channels_in height width"], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "channels_out height_out width_out"]:
        """Apply the layer; `key` is ignored, and there for `equinox.nn.Sequential`."""
        channels = self.weight.shape[1] * self.groups
        if x.ndim != 3 or len(x) != channels:
            raise ValueError(
                f"a convolution of {channels} channels was given an array of shape {x.shape};"
                " modules take one example (channels, height, width), batch them with jax.vmap"
            )
        fan_in = math.prod(self.weight.shape[1:])
        y = math.sqrt(self.weight_variance / fan_in) * self._convolve(x)
        if self.bias is None:
            return y
        return y + math.sqrt(self.bias_variance) * self.bias[:, None, None]

    def _convolve(self, x: Array) -> Array:
        # XLA's grouped convolution on CPU runs at 0.1 to 0.4 GFLOP/s (theory section 7).
        if self.groups > 1 and jax.default_backend() == "cpu":
            return self._as_products(x)
        padding = self.weight.shape[-1] // 2
        return jax.lax.conv_general_dilated(
            x[None],
            self.weight,
            (self.stride, self.stride),
            [(padding, padding)] * 2,
            feature_group_count=self.groups,
        )[0]

    def _as_products(self, x: Array) -> Array:
        """The same as one matrix product a group, of the weights with the shifted images."""
        patches = shifted(x, self.weight.shape[-1], self.stride)
        size, grouped = patches.shape[-2:], (self.groups, self.weight.shape[1])
        h = patches.reshape(-1, *grouped, math.prod(size))
        w = self.weight.reshape(self.groups, -1, self.weight.shape[1], len(h))
        return jnp.einsum("goik,kgip->gop", w, h).reshape(-1, *size)


def shifted(
    x: Float[Array, "channels height width"], kernel: int, stride: int
) -> Float[Array, "offsets channels height_out width_out"]:
    """The zero-padded image as every offset of the kernel sees it, row by row."""
    padding = kernel // 2
    padded = jnp.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    height, width = ((size + 2 * padding - kernel) // stride * stride + 1 for size in x.shape[1:])
    return jnp.stack(
        [
            padded[:, i : i + height : stride, j : j + width : stride]
            for i in range(kernel)
            for j in range(kernel)
        ]
    )

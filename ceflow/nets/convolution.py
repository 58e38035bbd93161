"""The convolution in NTK parameterisation, with optional groups."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ceflow.nets.weighted import Weighted


class Convolution(Weighted):
    """`h -> sqrt(c/fan_in) W * h + sqrt(b) beta` on an image, entries of W, beta iid N(0, 1).

    `c` is `weight_variance`, `b` is `bias_variance`, and `fan_in = kernel^2 channels_in / groups`
    (CE section 4.2). `padding` is the number of zeros added on every side, or a pair of numbers
    before and after each axis; by default `kernel - 1` in all, so that the image keeps its size at
    stride 1. A negative padding crops the image. With `circular`, the image is continued
    periodically instead of with zeros. With `as_products`, it is computed by matrix products on
    shifted images: XLA's gradients of a thousand convolutions batched over their weights are wrong
    on a CPU. In `standard` parameterisation the layer computes `W * h + beta`, with initial
    variances `c/fan_in` of W and `b/fan_in` of beta. It takes one example; batch it with
    `jax.vmap`.

    >>> convolution = Convolution(4, 6, kernel=3, groups=2, key=jax.random.key(0))
    >>> convolution(jnp.ones((4, 8, 8))).shape
    (6, 8, 8)
    """

    weight: Float[Array, "channels_out channels_per_group kernel kernel"]
    stride: int = eqx.field(static=True)
    padding: tuple[int, int] = eqx.field(static=True)
    circular: bool = eqx.field(static=True)
    as_products: bool = eqx.field(static=True)

    def __init__(
        self,
        channels_in: int,
        channels_out: int,
        *,
        kernel: int,
        stride: int = 1,
        groups: int = 1,
        padding: int | tuple[int, int] | None = None,
        circular: bool = False,
        as_products: bool = False,
        weight_variance: float = 1.0,
        bias_variance: float = 0.0,
        standard: bool = False,
        key: Key[Array, ""],
    ):
        if channels_in % groups or channels_out % groups:
            raise ValueError(
                f"{channels_in} input and {channels_out} output channels cannot be split into"
                f" {groups} groups"
            )
        self.stride = stride
        around = ((kernel - 1) // 2, kernel // 2) if padding is None else padding
        self.padding = (around, around) if isinstance(around, int) else around
        self.circular = circular
        self.as_products = as_products
        shape = (channels_out, channels_in // groups, kernel, kernel)
        super().__init__(shape, weight_variance, bias_variance, groups, standard, key)

    @property
    def fan_in(self) -> int:
        """Number of inputs that each output depends on."""
        return math.prod(self.weight.shape[-3:])

    def __call__(
        self, x: Float[Array, "channels_in height width"], *, key: Key[Array, ""] | None = None
    ) -> Float[Array, "channels_out height_out width_out"]:
        """Apply the layer. `key` is ignored; `equinox.nn.Sequential` passes it."""
        channels = self.weight.shape[1] * self.groups
        if x.ndim != 3 or len(x) != channels:
            raise ValueError(
                f"a convolution of {channels} channels was given an array of shape {x.shape};"
                " modules take one example (channels, height, width), batch them with jax.vmap"
            )
        weight, bias = self.factors()
        y = weight * self._convolve(jnp.pad(x, self._edges, "wrap") if self.circular else x)
        return y if self.bias is None else y + bias * self.bias[:, None, None]

    @property
    def _edges(self) -> tuple[tuple[int, int], ...]:
        """Positions added before and after each axis."""
        return (0, 0), self.padding, self.padding

    def _convolve(self, x: Array) -> Array:
        edges = (0, 0) if self.circular else self.padding
        # XLA's grouped convolution on CPU runs at 0.1 to 0.4 GFLOP/s.
        if self.as_products or (self.groups > 1 and jax.default_backend() == "cpu"):
            return self._products(x, edges)
        return jax.lax.conv_general_dilated(
            x[None],
            self.weight,
            (self.stride, self.stride),
            [edges] * 2,
            feature_group_count=self.groups,
        )[0]

    def _products(self, x: Array, edges: tuple[int, int]) -> Array:
        """Compute the convolution as one matrix product per group: weights times shifted images."""
        patches = shifted(x, self.weight.shape[-1], self.stride, edges)
        size, grouped = patches.shape[-2:], (self.groups, self.weight.shape[1])
        h = patches.reshape(-1, *grouped, math.prod(size))
        w = self.weight.reshape(self.groups, -1, self.weight.shape[1], len(h))
        return jnp.einsum("goik,kgip->gop", w, h).reshape(-1, *size)


def shifted(
    x: Float[Array, "channels height width"], kernel: int, stride: int, edges: tuple[int, int]
) -> Float[Array, "offsets channels height_out width_out"]:
    """Stack the shifted images that the kernel's offsets multiply, offsets in row-major order."""
    edge = (*edges, 0)
    padded = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), edge, edge))
    height, width = ((size - kernel) // stride * stride + 1 for size in padded.shape[1:])
    return jnp.stack(
        [
            padded[:, i : i + height : stride, j : j + width : stride]
            for i in range(kernel)
            for j in range(kernel)
        ]
    )

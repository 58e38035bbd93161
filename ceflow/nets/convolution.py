"""The convolution in NTK parameterisation, with optional groups."""

import math

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from ceflow.nets.convolving import in_products, products, unrounded
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
        x, edges = self._continued(x)
        if self.as_products or in_products(self.groups):
            return self._scaled(products(x, self.weight, self.groups, self.stride, edges))
        return self._scaled(self._convolved(x[None], edges, "NCHW")[0])

    def of_batch(
        self, x: Float[Array, "channels_in height width batch"]
    ) -> Float[Array, "channels_out height_out width_out batch"]:
        """Apply the layer to a batch, as a convolution that is still to be lowered."""
        x, edges = self._continued(x)
        return self._scaled(self._convolved(x, edges, "CHWN"))

    def _continued(self, x: Array) -> tuple[Array, tuple[int, int]]:
        """Return the image to convolve, and the zeros to be added before and after each axis."""
        if not self.circular:
            return x, self.padding
        edges = ((0, 0), self.padding, self.padding, *[(0, 0)] * (x.ndim - 3))
        return jnp.pad(x, edges, "wrap"), (0, 0)

    def _convolved(self, x: Array, edges: tuple[int, int], axes: str) -> Array:
        return jax.lax.conv_general_dilated(
            x,
            self.weight,
            (self.stride, self.stride),
            [edges] * 2,
            dimension_numbers=(axes, "OIHW", axes),
            feature_group_count=self.groups,
        )

    def _scaled(self, y: Array) -> Array:
        weight, bias = self.factors()
        y = unrounded(weight, y) * y
        if self.bias is None:
            return y
        return y + bias * self.bias.reshape(-1, *(1,) * (y.ndim - 1))

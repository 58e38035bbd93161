"""How a convolution is computed on this backend: the one place that chooses.

XLA runs convolutions in groups at 0.1 to 0.4 GFLOP/s on a CPU, and those of float64 as slowly.
Matrix products on shifted images are a hundred times faster. They are taken a group at a time, so
that the shifted images stay in the cache, and their memory is that of one group. A convolution of
one group in float32 is fast with channels last; XLA changes to that layout by itself, except within
loops. The weights' gradient is a convolution too, whose window is an image and whose outputs are
the kernel's positions; there the images are shifted by the positions of outputs. Windows of 3x3
over many channels take fewer products (`winograd`).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ceflow.nets import winograd


class Span(NamedTuple):
    """Windows along an axis: how many, how far apart, their length, and the step within them."""

    windows: int
    gap: int
    length: int
    step: int


def windows(
    x: Float[Array, "..."], first: int, spans: Sequence[Span], *, in_turn: bool = False
) -> Float[Array, "..."]:
    """Split axes from `first` on into an axis of windows and one of positions in the window.

    All axes of windows come first. Axes are split one at a time, from the last one: that moves less
    memory than shifting the image by each offset of the kernel. With `in_turn`, XLA may not merge
    these steps into one loop, which would compare positions for each number.

    >>> windows(jnp.arange(5), 0, [Span(3, 1, 2, 2)])
    Array([[0, 2],
           [1, 3],
           [2, 4]], dtype=int32)
    """
    for inserted, axis in enumerate(reversed(range(len(spans)))):
        number, gap, length, step = spans[axis]
        starts, at = (index * gap for index in range(number)), first + inserted + axis
        parts = [
            jax.lax.slice_in_dim(x, start, start + (length - 1) * step + 1, step, axis=at)
            for start in starts
        ]
        x = jnp.stack(parts, axis=first)
        if axis and in_turn:
            x = jax.lax.optimization_barrier(x)
    return x


def in_products(groups: int) -> bool:
    """Return whether a convolution of one example is slow on this backend, unless it is written as
    matrix products.
    """
    return groups > 1 and jax.default_backend() == "cpu"


def unrounded(factor: float, y: Array) -> float | Array:
    """Return the factor of the outputs `y` of a convolution, in all its digits.

    On a GPU, XLA takes a constant factor into the convolution, where it is rounded to float32 even
    if the convolution is in float64: outputs differed by 3e-8 of themselves (jaxlib 0.11.2).
    """
    if jax.default_backend() == "cpu" or y.dtype != jnp.float64:
        return factor
    return jax.lax.optimization_barrier(jnp.asarray(factor, y.dtype))


def products(
    x: Float[Array, "channels height width"],
    weight: Float[Array, "channels_out channels_per_group kernel kernel"],
    groups: int,
    stride: int,
    edges: tuple[int, int],
) -> Float[Array, "channels_out height_out width_out"]:
    """Convolve one example by one matrix product per group: weights times shifted images."""
    edge = (*edges, 0)
    padded = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), edge, edge))
    kernel = weight.shape[-1]
    sizes = [(size - kernel) // stride + 1 for size in padded.shape[1:]]
    patches = windows(padded, 1, [Span(kernel, 1, size, stride) for size in sizes])
    h = patches.reshape(groups, -1, math.prod(sizes))
    return jnp.einsum("goq,gqp->gop", weight.reshape(groups, -1, h.shape[1]), h).reshape(-1, *sizes)


@dataclass(frozen=True)
class Convolving:
    """Computes the convolution that `jax.lax.conv_general_dilated` computes with these arguments;
    one of both numbers of groups is 1.
    """

    specs: tuple[tuple[int, ...], ...]
    """Axes of input, weight and output, as in `jax.lax.ConvDimensionNumbers`."""
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilations: tuple[tuple[int, ...], ...]
    """Of the input and of the weight."""
    groups: int
    batch_groups: int = 1

    @classmethod
    def of(cls, parameters: dict[str, Any]) -> "Convolving":
        """Return that of the parameters of an equation of a jaxpr."""
        return cls(
            tuple(map(tuple, parameters["dimension_numbers"])),
            tuple(parameters["window_strides"]),
            tuple(map(tuple, parameters["padding"])),
            (tuple(parameters["lhs_dilation"]), tuple(parameters["rhs_dilation"])),
            parameters["feature_group_count"],
            parameters["batch_group_count"],
        )

    def __call__(self, x: Array, weight: Array) -> Array:
        """Convolve, in the form that is fast on this backend. Its derivatives are not meant to be
        fast: trace them first.
        """
        (batch, feature, *space), (out, into, *kernel), result = self.specs
        if jax.default_backend() != "cpu" or not jnp.issubdtype(x.dtype, jnp.floating):
            return self._by_xla(x, weight)
        sizes = self._sizes(x.shape, weight.shape)
        if self._is_gradient([weight.shape[axis] for axis in kernel], sizes):
            images, filters = (batch, *space, feature), (out, *kernel, into)
            y = self._by_positions(x.transpose(images), weight.transpose(filters), sizes)
        else:
            images, filters = (feature, *space, batch), (out, into, *kernel)
            y = self._by_offsets(x.transpose(images), weight.transpose(filters), sizes)
        order = (result[1], *result[2:], result[0])
        return y.transpose(sorted(range(len(order)), key=lambda axis: order[axis]))

    def _is_gradient(self, window: Sequence[int], sizes: Sequence[int]) -> bool:
        """Return whether windows are larger than outputs, as in the gradient of the weights."""
        if self.groups > 1:
            return False
        return self.batch_groups > 1 or math.prod(window) > math.prod(sizes)

    def _by_offsets(self, x: Array, weight: Array, sizes: Sequence[int]) -> Array:
        """Compute outputs (feature, space..., batch) of images in that order."""
        into, *kernel = weight.shape[1:]
        if math.prod(kernel) == 1:
            return self._pointwise(x, weight.reshape(self.groups, -1, into))
        if into == 1 and len(weight) == self.groups:
            return self._each_channel(x, weight[:, 0], sizes)

        def of_group(each: tuple[Array, Array]) -> Array:
            x, weight = each
            if self._by_tiles(x, kernel, min(into, len(weight))):
                return winograd.convolved(self._padded(x), weight)
            if _is_fast(x, into, self.groups):
                return self._channels_last(x.swapaxes(0, -1), weight).swapaxes(0, -1)
            spans = zip(kernel, self.dilations[1], sizes, self.strides, strict=True)
            patches = windows(self._padded(x), 1, [Span(*span) for span in spans], in_turn=True)
            patches = patches.reshape(weight[0].size, -1)
            return (weight.reshape(len(weight), -1) @ patches).reshape(-1, *sizes, x.shape[-1])

        y = _over_groups(of_group, x, weight, self.groups)
        return y.reshape(-1, *y.shape[2:])

    def _by_positions(self, x: Array, weight: Array, sizes: Sequence[int]) -> Array:
        """Compute outputs (feature, space..., batch) of images (batch, space..., feature), with
        windows (out, space..., feature).
        """
        window, channels = weight.shape[1:-1], len(x) // self.batch_groups

        def of_group(each: tuple[Array, Array]) -> Array:
            x, weight = each
            if self._by_tiles(x, sizes, min(channels, len(weight))):
                return winograd.correlated(self._padded(x), weight).transpose(1, 2, 3, 0)
            if _is_fast(x, channels, self.batch_groups) and math.prod(sizes) > 1:
                return self._channels_last(x, jnp.moveaxis(weight, -1, 1))
            spans = zip(sizes, self.strides, window, self.dilations[1], strict=True)
            patches = windows(self._padded(x), 1, [Span(*span) for span in spans], in_turn=True)
            patches = patches.reshape(-1, weight[0].size)
            y = patches @ weight.reshape(len(weight), -1).T  # faster in this order
            return y.reshape(channels, *sizes, len(weight))

        y = _over_groups(of_group, x, weight, self.batch_groups)
        return jnp.moveaxis(y, (1, -1), (-1, 1)).reshape(len(weight), *sizes, channels)

    def _by_tiles(self, x: Array, window: Sequence[int], channels: int) -> bool:
        """Return whether a convolution with this window, or the gradient of its weights, is faster
        with fewer products.
        """
        plain = {*self.strides, *self.dilations[0], *self.dilations[1]} == {1}
        large = channels >= TILED and x.shape[-1] >= TILED_BATCH
        return plain and [*window] == [3, 3] and large and x.dtype == jnp.float32

    def _pointwise(self, x: Array, weight: Float[Array, "groups out into"]) -> Array:
        """Multiply by weights of one position, after leaving positions out, or before spreading."""
        spreads = math.prod(self.dilations[0]) > 1
        if not spreads:
            x = self._strided(self._padded(x))
        grouped = x.reshape(len(weight), weight.shape[2], -1)
        if len(weight) == 1:
            y = weight[0] @ grouped[0]
        else:
            y = jnp.einsum("goi,gip->gop", weight, grouped)
        y = y.reshape(-1, *x.shape[1:])
        return self._strided(self._padded(y)) if spreads else y

    def _each_channel(self, x: Array, weight: Array, sizes: Sequence[int]) -> Array:
        """Convolve each channel with a kernel of its own: a sum of shifted images."""
        padded = jax.lax.optimization_barrier(self._padded(x))
        total: Any = 0
        for offset in np.ndindex(*weight.shape[1:]):
            starts = [a * b for a, b in zip(offset, self.dilations[1], strict=True)]
            ends = [
                start + (size - 1) * stride + 1
                for start, size, stride in zip(starts, sizes, self.strides, strict=True)
            ]
            cut = tuple(map(slice, starts, ends, self.strides))
            total += weight[:, *offset].reshape(-1, *(1,) * (x.ndim - 1)) * padded[:, *cut]
        return total

    def _channels_last(self, x: Array, weight: Float[Array, "out into ..."]) -> Array:
        """Compute outputs (batch, space..., feature) of images in that order by XLA."""
        last = x.ndim - 1
        plain = (0, last, *range(1, last))
        return jax.lax.conv_general_dilated(
            x,
            jnp.moveaxis(weight, (0, 1), (-1, -2)),
            self.strides,
            self.padding,
            *self.dilations,
            dimension_numbers=jax.lax.ConvDimensionNumbers(
                plain, (last, last - 1, *range(last - 1)), plain
            ),
        )

    def _by_xla(self, x: Array, weight: Array) -> Array:
        return jax.lax.conv_general_dilated(
            x,
            weight,
            self.strides,
            self.padding,
            *self.dilations,
            dimension_numbers=jax.lax.ConvDimensionNumbers(*self.specs),
            feature_group_count=self.groups,
            batch_group_count=self.batch_groups,
        )

    def _padded(self, x: Array) -> Array:
        """Spread the positions out, and add the edges or cut them."""
        space = zip(self.padding, self.dilations[0], strict=True)
        edges = [(low, high, gap - 1) for (low, high), gap in space]
        return jax.lax.pad(x, jnp.zeros((), x.dtype), [(0, 0, 0), *edges, (0, 0, 0)])

    def _strided(self, x: Array) -> Array:
        return x[:, *(slice(None, None, stride) for stride in self.strides)]

    def _sizes(self, x: Sequence[int], weight: Sequence[int]) -> list[int]:
        """Return the numbers of positions of the outputs."""
        sizes = []
        for axis, (low, high) in enumerate(self.padding):
            spread, wide = (given[axis] for given in self.dilations)
            here = (x[self.specs[0][2 + axis]] - 1) * spread + 1 + low + high
            window = (weight[self.specs[1][2 + axis]] - 1) * wide + 1
            sizes.append((here - window) // self.strides[axis] + 1)
        return sizes


TILED = 64
"""Number of channels from which on 3x3 windows are faster with fewer products,"""
TILED_BATCH = 8
"""with at least that many examples, whose numbers lie side by side."""

DEEP = 64
"""Number of channels of a group from which on XLA's convolution is as fast as products."""


def _is_fast(x: Array, channels: int, groups: int) -> bool:
    """Return whether XLA convolves each of these groups at the speed of a matrix product."""
    return x.dtype == jnp.float32 and (groups == 1 or channels >= DEEP)


def _over_groups(function: Any, x: Array, weight: Array, groups: int) -> Array:
    """Apply a function to each group, one after another; stack the results."""
    if groups == 1:
        return function((x, weight))[None]
    grouped = (part.reshape(groups, -1, *part.shape[1:]) for part in (x, weight))
    return jax.lax.map(function, tuple(grouped))

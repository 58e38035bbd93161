"""Axis layouts of a weight and the other operand in a product or a convolution.

For each batch index (member or group), both operations are a product of a weight matrix (out,
contracted) with vectors h (contracted, free). The gradient of the weights is
`sum_p delta_op h_ip`, where delta is the gradient at the result and p runs over the free index
(positions, tokens). A layout reshapes operands and gradients to that form.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core
from jaxtyping import Array, Float

from ceflow.nets.convolving import Span, windows


class Sizes(NamedTuple):
    """Sizes of the batched matrix product that is equivalent to a use of a weight."""

    batch: int
    out: int
    contracted: int
    free: int


@dataclass(frozen=True)
class Product:
    """The layout of a `dot_general`.

    `other` and `output` are the shapes of the operand that is not the weight and of the result;
    `batch` and `contracted` are axes of that operand.
    """

    weight_first: bool
    other: tuple[int, ...]
    output: tuple[int, ...]
    batch: tuple[int, ...]
    contracted: tuple[int, ...]

    @classmethod
    def from_equation(cls, equation: core.JaxprEqn, side: int) -> "Product":
        """Return the layout of an equation whose operand `side` is the weight."""
        contracted, batch = (axes[1 - side] for axes in equation.params["dimension_numbers"])
        other, output = shape(equation.invars[1 - side]), shape(equation.outvars[0])
        return cls(side == 0, other, output, tuple(batch), tuple(contracted))

    @cached_property
    def sizes(self) -> Sizes:
        """Sizes of the equivalent batched matrix product."""
        batch, contracted, free = (_size(self.other, axes) for axes in self._axes)
        out = math.prod(self.output) // max(batch * free, 1)
        return Sizes(batch, out, contracted, free)

    def vectors(self, other: Array) -> Float[Array, "batch contracted free"]:
        """Return the vectors h that the weight multiplies."""
        moved = jnp.transpose(other, sum(self._axes, ()))
        return moved.reshape(self.sizes.batch, self.sizes.contracted, self.sizes.free)

    def gradients(self, delta: Array) -> Float[Array, "batch out free"]:
        """Reshape the gradient at the output."""
        batch, out, _, free = self.sizes
        if self.weight_first:
            return delta.reshape(batch, out, free)
        return jnp.swapaxes(delta.reshape(batch, free, out), 1, 2)

    @property
    def _axes(self) -> tuple[tuple[int, ...], ...]:
        given = (*self.batch, *self.contracted)
        free = tuple(axis for axis in range(len(self.other)) if axis not in given)
        return self.batch, self.contracted, free


@dataclass(frozen=True)
class Convolution:
    """The layout of a `conv_general_dilated` whose right operand is the weight.

    `specs` give the axes of input and output in the order (batch, feature, space...), and those of
    the weight in the order (out, in, space...). The batch index runs over groups, the free index
    over positions.
    """

    other: tuple[int, ...]
    weight: tuple[int, ...]
    output: tuple[int, ...]
    specs: tuple[tuple[int, ...], ...]
    strides: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilations: tuple[tuple[int, ...], ...]
    groups: int

    @classmethod
    def from_equation(cls, equation: core.JaxprEqn) -> "Convolution":
        """Return the layout of an equation."""
        given = equation.params
        return cls(
            *(shape(var) for var in (*equation.invars, *equation.outvars)),
            specs=tuple(given["dimension_numbers"]),
            strides=tuple(given["window_strides"]),
            padding=tuple(given["padding"]),
            dilations=(tuple(given["lhs_dilation"]), tuple(given["rhs_dilation"])),
            groups=given["feature_group_count"],
        )

    @cached_property
    def sizes(self) -> Sizes:
        """Sizes of the equivalent batched matrix product."""
        out = self.weight[self.specs[1][0]]
        contracted = math.prod(self.weight) // out
        free = math.prod(self.output) // out
        return Sizes(self.groups, out // self.groups, contracted, free)

    def vectors(self, other: Array) -> Float[Array, "groups contracted positions"]:
        """Return the patches of the input that the filters multiply."""
        image = jnp.transpose(other, self.specs[0])
        image = jax.lax.pad(image, jnp.zeros((), other.dtype), self._edges)
        kernel, sizes = (
            [sides[axis] for axis in spec[2:]]
            for sides, spec in ((self.weight, self.specs[1]), (self.output, self.specs[2]))
        )
        spans = zip(kernel, self.dilations[1], sizes, self.strides, strict=True)
        patches = windows(image, 2, [Span(*span) for span in spans])
        return self._grouped(patches, self.sizes.contracted)

    def gradients(self, delta: Array) -> Float[Array, "groups out positions"]:
        """Reshape the gradient at the output."""
        return self._grouped(jnp.transpose(delta, self.specs[2]), self.sizes.out)

    @property
    def _edges(self) -> list[tuple[int, int, int]]:
        space = zip(self.padding, self.dilations[0], strict=True)
        return [(0, 0, 0)] * 2 + [(low, high, gap - 1) for (low, high), gap in space]

    def _grouped(self, values: Array, size: int) -> Array:
        """Reshape (batch, feature..., positions...) to (groups, size, all positions)."""
        values = values.reshape(len(values), self.groups, size, -1)
        return jnp.moveaxis(values, 0, 2).reshape(self.groups, size, self.sizes.free)


Layout = Product | Convolution


def shape(var: Any) -> tuple[int, ...]:
    """Return the shape of a variable or literal of a jaxpr."""
    return var.aval.shape


def _size(of: Sequence[int], axes: Sequence[int]) -> int:
    return math.prod(of[axis] for axis in axes)

"""A network as a tree of layers with shapes: what a model spec expands to.

Counts are read off this tree, modules are lowered from it, and infinite-width kernels follow it.
Widths may be `math.inf`, and so may the counts then. What goes in and out of a layer is a number of
units, or the shape of an image.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

Image = tuple[float, int, int]
"""Channels, height and width."""
Shape = float | Image
"""What a layer takes or gives: a number of units, or an image."""


def units(shape: Shape) -> float:
    """Count the numbers there are in a shape."""
    return math.prod(shape) if isinstance(shape, tuple) else shape


def positions(shape: Shape) -> int:
    """Count the positions of an image; of units there is one."""
    return math.prod(shape[1:]) if isinstance(shape, tuple) else 1


def image(shape: Shape) -> Image:
    """Take a shape as an image's."""
    if not isinstance(shape, tuple):
        raise TypeError(f"an image is needed, not {shape} units")
    return shape


def _divided(count: float, by: int) -> float:
    """Divide a count that `by` divides; whole numbers stay exact."""
    return count / by if math.isinf(count) else count // by


class Layer:
    """The questions that every layer answers, by which trees are walked and shown.

    It has besides `inputs` and `outputs`, its shapes, and `parameters` and `flops`, its counts.
    """

    pools: ClassVar[bool] = False
    """True where it mixes positions other than by convolution."""

    @property
    def inner(self) -> "tuple[Node, ...]":
        """The layers that it holds."""
        return ()

    @property
    def copies(self) -> int:
        """The number of times that each of them is there."""
        return 1

    @property
    def starts_normal(self) -> bool:
        """True where all that it draws itself is standard normal, if it draws anything.

        Scales stand in front of its weights then."""
        return bool(self.inner) or not getattr(self, "parameters", 0)

    @property
    def title(self) -> str:
        """Its kind, in words."""
        return type(self).__name__.lower()

    @property
    def suffix(self) -> str:
        """Its name behind the layer before it, where it keeps that one's shape."""
        return ""


@dataclass(frozen=True)
class Dense(Layer):
    """A dense layer (CE eq. 3)."""

    inputs: float
    outputs: float
    weight_variance: float
    bias_variance: float
    groups: int = 1
    """Blocks on the diagonal of the weights: a group of outputs sees a group of inputs."""
    standard: bool = False
    """True where the scale is in the initial weights, not in front of them."""

    @property
    def starts_normal(self) -> bool:
        return not self.standard

    @property
    def fan_in(self) -> float:
        return _divided(self.inputs, self.groups)

    @property
    def parameters(self) -> float:
        return self.fan_in * self.outputs + (self.outputs if self.bias_variance else 0)

    @property
    def flops(self) -> float:
        """FLOPs of one example forward: 2 x multiply-adds."""
        return 2 * self.fan_in * self.outputs


@dataclass(frozen=True)
class Convolution(Layer):
    """A convolution of an image, zero-padded by half of its kernel (CE section 4.2)."""

    inputs: Image
    channels: float
    kernel: int
    stride: int
    groups: int
    weight_variance: float
    bias_variance: float
    padding: int | None = None
    """Zeros on every side, in place of half of the kernel; below 0 the image is cut."""
    shared: int = 1
    """Outputs of the network that use each output of this layer: FLOPs are counted for one."""
    standard: bool = False
    """True where the scale is in the initial weights, not in front of them."""

    @property
    def title(self) -> str:
        return f"convolution {self.size}"

    @property
    def size(self) -> str:
        """Kernel and stride, as 3x3/2."""
        return f"{self.kernel}x{self.kernel}" + (f"/{self.stride}" if self.stride > 1 else "")

    @property
    def outputs(self) -> Image:
        _, *size = self.inputs
        padding = self.kernel // 2 if self.padding is None else self.padding
        height, width = ((side + 2 * padding - self.kernel) // self.stride + 1 for side in size)
        return self.channels, height, width

    @property
    def starts_normal(self) -> bool:
        return not self.standard

    @property
    def fan_in(self) -> float:
        return _divided(self.kernel**2 * self.inputs[0], self.groups)

    @property
    def parameters(self) -> float:
        return self.fan_in * self.channels + (self.channels if self.bias_variance else 0)

    @property
    def flops(self) -> float:
        """FLOPs of one example forward: 2 x multiply-adds."""
        return _divided(2 * self.fan_in * units(self.outputs), self.shared)


@dataclass(frozen=True)
class Activation(Layer):
    """A nonlinearity on each coordinate; its work is not counted."""

    name: str
    inputs: Shape

    parameters = 0
    flops = 0

    @property
    def suffix(self) -> str:
        return self.name

    @property
    def outputs(self) -> Shape:
        return self.inputs


@dataclass(frozen=True)
class BatchNorm(Layer):
    """Each channel normalised over a batch and its positions, then scaled and shifted."""

    inputs: Image

    flops = 0

    @property
    def parameters(self) -> float:
        return 2 * self.inputs[0]

    @property
    def suffix(self) -> str:
        return "batchnorm"

    @property
    def starts_normal(self) -> bool:
        return False

    @property
    def outputs(self) -> Image:
        return self.inputs


@dataclass(frozen=True)
class MaxPool(Layer):
    """The maximum over windows at every stride, which reach out of the image by half a window."""

    inputs: Image
    window: int
    stride: int

    parameters = 0
    flops = 0

    @property
    def outputs(self) -> Image:
        channels, *size = self.inputs
        padding = 2 * (self.window // 2)
        height, width = ((side + padding - self.window) // self.stride + 1 for side in size)
        return channels, height, width


@dataclass(frozen=True)
class AveragePool(Layer):
    """The mean over windows side by side; over the whole image, giving a vector, without one."""

    inputs: Image
    window: int | None = None

    pools = True
    parameters = 0
    flops = 0

    @property
    def outputs(self) -> Shape:
        channels, height, width = self.inputs
        if self.window is None:
            return channels
        return channels, height // self.window, width // self.window


@dataclass(frozen=True)
class Flatten(Layer):
    """An image as a vector."""

    inputs: Image

    parameters = 0
    flops = 0

    @property
    def outputs(self) -> float:
        return units(self.inputs)


@dataclass(frozen=True)
class Residual(Layer):
    """A body added to a shortcut; the identity where that is None.

    One of the two must end in weights of its own, so that their outputs are uncorrelated.
    """

    body: "Node"
    shortcut: "Node | None" = None

    @property
    def inner(self) -> "tuple[Node, ...]":
        return (self.body, self.shortcut) if self.shortcut else (self.body,)

    @property
    def inputs(self) -> Shape:
        return self.body.inputs

    @property
    def outputs(self) -> Shape:
        return self.body.outputs

    @property
    def parameters(self) -> float:
        return self.body.parameters + (self.shortcut.parameters if self.shortcut else 0)

    @property
    def flops(self) -> float:
        return self.body.flops + (self.shortcut.flops if self.shortcut else 0)


@dataclass(frozen=True)
class Chain(Layer):
    """Layers one after another."""

    layers: tuple["Node", ...]

    @property
    def inner(self) -> "tuple[Node, ...]":
        return self.layers

    @property
    def inputs(self) -> Shape:
        return self.layers[0].inputs

    @property
    def outputs(self) -> Shape:
        return self.layers[-1].outputs

    @cached_property
    def parameters(self) -> float:
        return sum(layer.parameters for layer in self.layers)

    @cached_property
    def flops(self) -> float:
        return sum(layer.flops for layer in self.layers)


@dataclass(frozen=True)
class Ensemble(Layer):
    """Independent members, summed over the square root of their number (CE eq. 4)."""

    multiplicity: int
    member: "Node"

    @property
    def inner(self) -> "tuple[Node, ...]":
        return (self.member,)

    @property
    def copies(self) -> int:
        return self.multiplicity

    @property
    def inputs(self) -> Shape:
        return self.member.inputs

    @property
    def outputs(self) -> Shape:
        return self.member.outputs

    @property
    def parameters(self) -> float:
        return self.multiplicity * self.member.parameters

    @property
    def flops(self) -> float:
        return self.multiplicity * self.member.flops


Node = (
    Dense
    | Convolution
    | Activation
    | BatchNorm
    | MaxPool
    | AveragePool
    | Flatten
    | Residual
    | Chain
    | Ensemble
)


def every(node: Node) -> Iterator[Node]:
    """Go through a tree's layers, those that hold others included."""
    yield node
    for inner in node.inner:
        yield from every(inner)


def leaves(node: Node, times: int = 1) -> Iterator[tuple[int, Node]]:
    """Go through a tree's layers that hold no others, with how often each is there."""
    if not node.inner:
        yield times, node
    for inner in node.inner:
        yield from leaves(inner, times * node.copies)


def is_finite(node: Node) -> bool:
    """Tell whether every layer has a finite width."""
    return math.isfinite(node.parameters)

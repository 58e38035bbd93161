"""A network as a tree of layers with shapes: what a model spec expands to.

Counts are computed from this tree, modules are built from it, and infinite-width kernels follow it.
Widths may be `math.inf`; counts are then infinite too. The inputs and outputs of a layer are a
number of units, or the shape of an image.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

Image = tuple[float, int, int]
"""Channels, height and width."""
Shape = float | Image
"""Shape of the inputs or outputs of a layer: a number of units, or an image."""


def units(shape: Shape) -> float:
    """Return the number of entries of a shape."""
    return math.prod(shape) if isinstance(shape, tuple) else shape


def positions(shape: Shape) -> int:
    """Return the number of positions of an image; 1 for units."""
    return math.prod(shape[1:]) if isinstance(shape, tuple) else 1


def image(shape: Shape) -> Image:
    """Return a shape, checked to be that of an image."""
    if not isinstance(shape, tuple):
        raise TypeError(f"an image is needed, not {shape} units")
    return shape


def _divided(count: float, by: int) -> float:
    """Divide a count by a divisor of it; whole numbers stay exact."""
    return count / by if math.isinf(count) else count // by


class Layer:
    """The properties that every layer has, with which trees are traversed and shown.

    It also has `inputs` and `outputs`, its shapes, and `parameters` and `flops`, its counts.
    """

    pools: ClassVar[bool] = False
    """True if the layer averages positions, beyond the reach of a convolution."""

    @property
    def inner(self) -> "tuple[Node, ...]":
        """The layers inside this one."""
        return ()

    @property
    def copies(self) -> int:
        """Number of copies of each inner layer."""
        return 1

    @property
    def starts_normal(self) -> bool:
        """True if all initial parameters are standard normal, with scales as explicit factors."""
        return bool(self.inner) or not getattr(self, "parameters", 0)

    @property
    def title(self) -> str:
        """Kind of the layer, in words."""
        return type(self).__name__.lower()

    @property
    def suffix(self) -> str:
        """Text appended to the layer before, if this one keeps its shape."""
        return ""


@dataclass(frozen=True)
class Dense(Layer):
    """A dense layer (CE eq. 3)."""

    inputs: float
    outputs: float
    weight_variance: float
    bias_variance: float
    groups: int = 1
    """Number of blocks on the diagonal of the weights: each group of outputs sees one group of
    inputs."""
    standard: bool = False
    """True if the scale is in the initial weights, not an explicit factor."""

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
        """FLOPs of a forward pass of one example, two per multiply-add."""
        return 2 * self.fan_in * self.outputs


@dataclass(frozen=True)
class Convolution(Layer):
    """A convolution of an image, zero-padded by half the kernel size (CE section 4.2)."""

    inputs: Image
    channels: float
    kernel: int
    stride: int
    groups: int
    weight_variance: float
    bias_variance: float
    padding: int | None = None
    """Zeros added on each side, in place of half the kernel size; a negative number crops the
    image."""
    shared: int = 1
    """Number of outputs of the network that share each output of this layer: FLOPs are counted for
    one."""
    standard: bool = False
    """True if the scale is in the initial weights, not an explicit factor."""

    @property
    def title(self) -> str:
        return f"convolution {self.size}"

    @property
    def size(self) -> str:
        """Kernel size and stride, such as 3x3/2."""
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
        """FLOPs of a forward pass of one example, two per multiply-add."""
        return _divided(2 * self.fan_in * units(self.outputs), self.shared)


@dataclass(frozen=True)
class Activation(Layer):
    """A nonlinearity on each coordinate; its FLOPs are not counted."""

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
    """Normalisation of each channel over a batch and its positions, then a scale and a shift."""

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
    """The maximum over windows at every stride; the image is padded by half a window."""

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
    """The mean over adjacent windows; without a window, over the whole image, which gives
    a vector.
    """

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
    """The sum of a body and a shortcut; if the shortcut is None, it is the identity.

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
    """Independent members, summed and divided by the square root of their number (CE eq. 4)."""

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
    """Yield all layers of a tree, including those that hold others."""
    yield node
    for inner in node.inner:
        yield from every(inner)


def leaves(node: Node, times: int = 1) -> Iterator[tuple[int, Node]]:
    """Yield the layers of a tree that hold no others, each with its number of copies."""
    if not node.inner:
        yield times, node
    for inner in node.inner:
        yield from leaves(inner, times * node.copies)


def is_finite(node: Node) -> bool:
    """Tell whether every layer has a finite width."""
    return math.isfinite(node.parameters)

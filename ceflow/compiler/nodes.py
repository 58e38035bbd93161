"""A network as a tree of layers with shapes: what a model spec expands to.

Counts are computed from this tree, modules are built from it, and infinite-width kernels follow it.
Widths may be `math.inf`; counts are then infinite too. The inputs and outputs of a layer are a
number of units, or the shape of an image.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

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


def channels(shape: Shape) -> float:
    """Return the number of channels of an image; all units of a vector are channels."""
    return shape[0] if isinstance(shape, tuple) else shape


def image(shape: Shape) -> Image:
    """Return a shape, checked to be that of an image."""
    if not isinstance(shape, tuple):
        raise TypeError(f"an image is needed, not {shape} units")
    return shape


def _divided(count: float, by: float) -> float:
    """Divide a count by a divisor of it; whole numbers stay exact."""
    return count / by if math.isinf(count) else count // by


def _strided(image: Image, window: int, stride: int, edges: tuple[int, int]) -> tuple[int, int]:
    """Compute height and width after windows `stride` apart, with `edges` added around."""
    height, width = ((side + sum(edges) - window) // stride + 1 for side in image[1:])
    return height, width


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

    def module(self, key: Any) -> Any:
        """Build the Equinox module of a layer that a plugin adds. Weights are those of modules of
        `ceflow.nets` in it.
        """
        raise TypeError(f"no module is registered for the layer {type(self).__name__}")

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
    """A convolution of an image (CE section 4.2)."""

    inputs: Image
    channels: float
    kernel: int
    stride: int
    groups: float
    """Number of groups of channels; infinite if each of infinitely many channels is one."""
    weight_variance: float
    bias_variance: float
    padding: tuple[int, int] | None = None
    """Zeros added before and after each axis; negative numbers crop the image. If None, they keep
    the size of the image at stride 1."""
    circular: bool = False
    """True if the image is continued periodically, and not with zeros."""
    as_products: bool = False
    """True if it is computed by matrix products, whatever its groups."""
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
    def edges(self) -> tuple[int, int]:
        """Number of positions added before and after each axis."""
        if self.padding is None:
            return (self.kernel - 1) // 2, self.kernel // 2
        return self.padding

    @property
    def outputs(self) -> Image:
        return self.channels, *_strided(self.inputs, self.kernel, self.stride, self.edges)

    @property
    def starts_normal(self) -> bool:
        return not self.standard

    @property
    def is_depthwise(self) -> bool:
        """True if each output depends on one channel."""
        return 1 < self.groups == self.inputs[0]

    @property
    def fan_in(self) -> float:
        channels = 1 if self.is_depthwise else _divided(self.inputs[0], self.groups)
        return self.kernel**2 * channels

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

    inputs: Shape

    flops = 0

    @property
    def parameters(self) -> float:
        return 2 * channels(self.inputs)

    @property
    def suffix(self) -> str:
        return "batchnorm"

    @property
    def starts_normal(self) -> bool:
        return False

    @property
    def outputs(self) -> Shape:
        return self.inputs


@dataclass(frozen=True)
class LayerNorm(Layer):
    """Normalisation of each example over its channels, and over all positions or at each of them,
    then a scale and a shift of each channel.
    """

    inputs: Shape
    by_position: bool = False
    """True if each position is normalised by itself."""
    affine: bool = True
    """True if each channel has a scale and a shift, which start at 1 and 0."""
    epsilon: float = 1e-5
    """Number added to the variance."""

    flops = 0

    @property
    def parameters(self) -> float:
        return 2 * channels(self.inputs) if self.affine else 0

    @property
    def suffix(self) -> str:
        return "layernorm"

    @property
    def starts_normal(self) -> bool:
        return not self.affine

    @property
    def outputs(self) -> Shape:
        return self.inputs


@dataclass(frozen=True)
class Scale(Layer):
    """A factor of each channel; all start at `initial`."""

    inputs: Shape
    initial: float

    flops = 0

    @property
    def parameters(self) -> float:
        return channels(self.inputs)

    @property
    def starts_normal(self) -> bool:
        return False

    @property
    def suffix(self) -> str:
        return "scale"

    @property
    def outputs(self) -> Shape:
        return self.inputs


@dataclass(frozen=True)
class PositionEmbedding(Layer):
    """A vector for each position of an image, added to its channels there."""

    inputs: Image
    variance: float
    """Variance of the initial vectors."""
    standard: bool = False
    """True if the scale is in the initial vectors, not an explicit factor."""

    flops = 0

    @property
    def parameters(self) -> float:
        return units(self.inputs)

    @property
    def starts_normal(self) -> bool:
        return not self.standard

    @property
    def title(self) -> str:
        return "position-embedding"

    @property
    def suffix(self) -> str:
        return self.title

    @property
    def outputs(self) -> Image:
        return self.inputs


@dataclass(frozen=True)
class Dropout(Layer):
    """Zeros in place of a random part of the values, in training; otherwise the identity."""

    inputs: Shape
    rate: float

    parameters = 0
    flops = 0

    @property
    def suffix(self) -> str:
        return f"dropout {self.rate:g}"

    @property
    def outputs(self) -> Shape:
        return self.inputs


@dataclass(frozen=True)
class MaxPool(Layer):
    """The maximum over windows at every stride."""

    inputs: Image
    window: int
    stride: int
    edges: tuple[int, int] = (0, 0)
    """Number of positions added before and after each axis, which are never the maximum."""

    parameters = 0
    flops = 0

    @property
    def title(self) -> str:
        return f"max-pool {self.window}x{self.window}/{self.stride}"

    @property
    def outputs(self) -> Image:
        return self.inputs[0], *_strided(self.inputs, self.window, self.stride, self.edges)


@dataclass(frozen=True)
class AveragePool(Layer):
    """The mean over windows at every stride; without a window, over the whole image, which gives
    a vector.
    """

    inputs: Image
    window: int | None = None
    stride: int | None = None
    """Distance of windows; by default they are adjacent."""

    pools = True
    parameters = 0
    flops = 0

    @property
    def title(self) -> str:
        if self.window is None:
            return "global-average"
        return f"average-pool {self.window}x{self.window}/{self.stride or self.window}"

    @property
    def outputs(self) -> Shape:
        if self.window is None:
            return self.inputs[0]
        stride = self.stride or self.window
        return self.inputs[0], *_strided(self.inputs, self.window, stride, (0, 0))


@dataclass(frozen=True)
class Attention(Layer):
    """Multi-head attention between the positions of an image: the concatenated outputs of all heads
    go through one more layer of weights.
    """

    inputs: Image
    heads: int
    head_width: int
    """Channels of the queries, keys and values of one head."""
    weight_variance: float
    bias_variance: float
    standard: bool = False
    """True if the scale is in the initial weights, not an explicit factor."""

    @property
    def title(self) -> str:
        return f"attention of {self.heads} x {self.head_width} channels"

    @property
    def width(self) -> int:
        """Channels of all heads together."""
        return self.heads * self.head_width

    @property
    def starts_normal(self) -> bool:
        return not self.standard

    @property
    def outputs(self) -> Image:
        return self.inputs

    @property
    def parameters(self) -> float:
        biases = 3 * self.width + self.inputs[0] if self.bias_variance else 0
        return 4 * self.inputs[0] * self.width + biases

    @property
    def flops(self) -> float:
        """FLOPs of the weights at all positions, and of scores and means of values over them."""
        here = positions(self.inputs)
        return 8 * self.inputs[0] * self.width * here + 4 * self.width * here**2


@dataclass(frozen=True)
class Flatten(Layer):
    """An image as a vector."""

    inputs: Shape

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


@dataclass(frozen=True)
class External(Layer):
    """A module of the user's, of which only what it computes is known."""

    name: str
    width: int | None
    inputs: Shape
    outputs: int
    parameters: int
    flops: float
    """FLOPs of its matrix products and convolutions; NaN if they depend on numbers."""
    program: str
    """Digest of all that it computes."""
    products: "tuple[Node, ...]" = ()
    """Its products with weights, as layers whose costs are known."""
    make: Callable[[Any], Any] | None = None
    """Function from a key to the module; None in a report of a run."""

    @property
    def inner(self) -> "tuple[Node, ...]":
        return self.products

    @property
    def title(self) -> str:
        return f"module {self.name}" + (f" of width {self.width}" if self.width else "")

    @property
    def starts_normal(self) -> bool:
        return False


@dataclass(frozen=True)
class TokenMixing(Layer):
    """Layers on an image whose positions are channels, and whose channels are positions."""

    inputs: Image
    mixer: "Node"
    """The layers; they keep the swapped shape, (positions, channels, 1)."""

    @property
    def title(self) -> str:
        return "token-mixing"

    @property
    def inner(self) -> "tuple[Node, ...]":
        return (self.mixer,)

    @property
    def outputs(self) -> Image:
        return self.inputs

    @property
    def parameters(self) -> float:
        return self.mixer.parameters

    @property
    def flops(self) -> float:
        return self.mixer.flops


Node = (
    Dense
    | Convolution
    | Activation
    | BatchNorm
    | LayerNorm
    | Scale
    | PositionEmbedding
    | Dropout
    | Attention
    | MaxPool
    | AveragePool
    | Flatten
    | Residual
    | Chain
    | Ensemble
    | External
    | TokenMixing
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


def by_products(node: Node) -> Node:
    """Return the tree with its convolutions computed by matrix products."""
    match node:
        case Convolution():
            return replace(node, as_products=True)
        case Chain(layers=layers):
            return Chain(tuple(map(by_products, layers)))
        case Residual(body=body, shortcut=shortcut):
            return Residual(by_products(body), shortcut and by_products(shortcut))
        case Ensemble(multiplicity=multiplicity, member=member):
            return Ensemble(multiplicity, by_products(member))
        case _:
            return node


def centre(shape: Shape) -> int:
    """Return the index of the middle position of the first channel, in the order of `ravel`.

    >>> centre((8, 3, 3)), centre(10)
    (4, 0)
    """
    if not isinstance(shape, tuple):
        return 0
    _, height, width = shape
    return height // 2 * width + width // 2


def values(root: Node) -> float:
    """Count the values between layers in a forward pass of one example."""
    return sum(times * units(layer.outputs) for times, layer in leaves(root))


def is_finite(node: Node) -> bool:
    """Tell whether every layer has a finite width."""
    return math.isfinite(node.parameters)

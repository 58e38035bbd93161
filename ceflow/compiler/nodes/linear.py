"""Layers of linear maps: dense layers, convolutions, and attention, which is made of them."""

from dataclasses import dataclass

from ceflow.compiler.nodes.base import Image, Layer, divided, positions, strided, units


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
        return divided(self.inputs, self.groups)

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
        if self.is_depthwise:
            return f"depthwise {self.size}"
        return f"convolution {self.size}" + (f" in {self.groups} groups" if self.groups > 1 else "")

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
        return self.channels, *strided(self.inputs, self.kernel, self.stride, self.edges)

    @property
    def starts_normal(self) -> bool:
        return not self.standard

    @property
    def is_depthwise(self) -> bool:
        """True if each output depends on one channel."""
        return 1 < self.groups == self.inputs[0]

    @property
    def fan_in(self) -> float:
        channels = 1 if self.is_depthwise else divided(self.inputs[0], self.groups)
        return self.kernel**2 * channels

    @property
    def parameters(self) -> float:
        return self.fan_in * self.channels + (self.channels if self.bias_variance else 0)

    @property
    def flops(self) -> float:
        """FLOPs of a forward pass of one example, two per multiply-add."""
        return divided(2 * self.fan_in * units(self.outputs), self.shared)


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

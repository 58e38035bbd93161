"""Layers of linear maps: dense layers, convolutions, and attention, which is made of them."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from ceflow.spec.base import Count, VarianceValue, Width
from ceflow.spec.diagnostics import Fault, SpecError
from ceflow.spec.models.layers.base import (
    LayerSpec,
    NameOrNumber,
    Shape,
    Window,
    edges,
    misfit,
    shape_text,
    strided,
)

Padding = Annotated[int | str, NameOrNumber("same", "valid", "circular")]
Groups = Annotated[int | str, NameOrNumber("depthwise", least=1)]


class DenseLayer(LayerSpec):
    """A layer with a weight for each pair of an input and an output."""

    type: Literal["dense"] = "dense"
    """A fully connected layer; it takes vectors."""
    units: Width | None = None
    """Number of outputs; it may be `inf`. The last layer may leave it out: it then has as many
    outputs as the data."""
    weight_variance: VarianceValue | None = None
    """Weight variance c of this layer; by default that of the network."""
    bias_variance: Annotated[float, Field(ge=0, le=1e12)] | None = None
    """Variance of the biases of this layer, 0 for none; by default that of the network."""

    width_key: ClassVar = "units"

    def once(self, shape: Shape) -> Shape:
        if isinstance(shape, tuple):
            message = f"a dense layer takes vectors, and gets {shape_text(shape)}"
            help = 'put "flatten" or "global-average" before it, or use a convolution of kernel 1'
            raise misfit(message, help)
        if self.units is None:
            raise SpecError(_open("units", "dense"))
        return self.units


class ConvolutionLayer(LayerSpec):
    """A convolution of an image with a square kernel."""

    type: Literal["convolution"] = "convolution"
    """A convolution; it takes images."""
    channels: Width | None = None
    """Number of output channels; it may be `inf`. A depthwise convolution may leave it out, and
    then keeps the channels; so may the last layer with weights before a `global-average` that ends
    the network, which then has as many as the data have targets."""
    kernel: Window = 3
    """Side of the kernel."""
    stride: Window = 1
    """Distance of neighbouring kernels."""
    padding: Padding = "same"
    """What surrounds the image: `same` adds as many zeros as keep its size at stride 1, `valid`
    none, `circular` continues it periodically and keeps its size, and a number adds as many zeros
    on each side."""
    groups: Groups = 1
    """Number of groups of channels: each output channel sees those of its group. `depthwise` makes
    a group of each channel."""
    weight_variance: VarianceValue | None = None
    """Weight variance c of this layer; by default that of the network."""
    bias_variance: Annotated[float, Field(ge=0, le=1e12)] | None = None
    """Variance of the biases of this layer, 0 for none; by default that of the network."""

    width_key: ClassVar = "channels"
    is_spatial: ClassVar = True

    @property
    def edges(self) -> tuple[int, int]:
        """Number of positions added before and after each axis."""
        return edges(self.padding, self.kernel)

    def once(self, shape: Shape) -> Shape:
        image = self.image(shape)
        channels = self.channels or (image[0] if self.groups == "depthwise" else None)
        if channels is None:
            raise SpecError(_open("channels", "convolution"))
        groups = self.groups if isinstance(self.groups, int) else image[0]
        for count, of in ((image[0], "input"), (channels, "output")):
            if math.isfinite(count) and count % groups:
                message = f"{count} {of} channels cannot be split into {groups} groups"
                raise misfit(message, "take a number of groups that divides both", ("groups",))
        if self.padding == "circular" and max(self.edges) > min(image[1:]):
            message = f"a kernel of {self.kernel} goes around {shape_text(image)} more than once"
            raise misfit(message, 'take a smaller kernel, or padding = "same"', ("kernel",))
        return channels, *strided(image, self.kernel, self.stride, self.edges, "kernel")


class AttentionLayer(LayerSpec):
    """Multi-head attention between the positions of an image."""

    type: Literal["attention"] = "attention"
    """Attention: each position is a token, and softmax weighs the values of all of them. It keeps
    the shape, and has no kernel at infinite width here."""
    heads: Count = 1
    """Number of heads; they are summed like the members of an ensemble."""
    head_width: Count | None = None
    """Channels of the queries, keys and values of one head; by default the channels of the image
    divided by the heads."""
    weight_variance: VarianceValue | None = None
    """Weight variance c of this layer; by default that of the network."""
    bias_variance: Annotated[float, Field(ge=0, le=1e12)] | None = None
    """Variance of the biases of this layer, 0 for none; by default that of the network."""

    is_spatial: ClassVar = True

    def head_channels(self, channels: float) -> int:
        """Return the channels of one head."""
        return self.head_width or int(channels // self.heads)

    def once(self, shape: Shape) -> Shape:
        image = self.image(shape)
        if self.head_width is None and (image[0] == math.inf or image[0] % self.heads):
            message = f"{image[0]} channels cannot be split among {self.heads} heads"
            raise misfit(message, "give head_width, or heads that divide the channels", ("heads",))
        return image


def is_depthwise(layer: LayerSpec) -> bool:
    """Return whether a layer filters each channel by itself."""
    return isinstance(layer, ConvolutionLayer) and layer.groups == "depthwise"


def _open(key: str, layer: str) -> Fault:
    message = f"the key {key!r} is missing"
    help = f"as {key} = 64; only the last {layer} may leave it to the data"
    return Fault("CE102", message, (), "key", help, missing=key)

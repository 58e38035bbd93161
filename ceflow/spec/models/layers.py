"""The layers of a network.

Every kind is a table with a `type`; a layer without further keys, or an activation, is its name
alone. A layer knows the shape of its outputs from that of its inputs: a number of units, or the
channels, height and width of an image.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from ceflow.spec.base import Count, KeyPath, Spec, VarianceValue, Width
from ceflow.spec.diagnostics import Fault, SpecError
from ceflow.spec.models.activations import Activation
from ceflow.spec.plugins import with_plugins

Shape = float | tuple[float, int, int]
"""Shape of an example between two layers: a number of units, or channels, height and width."""

MOST_LAYERS = 10_000
"""Largest number of layers of a network: the compiler makes each of them separately."""


def shape_text(shape: Shape) -> str:
    """Write a shape in words.

    >>> shape_text(10), shape_text((64, 8, 8))
    ('a vector of 10', 'an image of 64 x 8 x 8')
    """
    if isinstance(shape, tuple):
        return f"an image of {' x '.join(map(str, shape))}"
    return f"a vector of {shape}"


@contextmanager
def below(*path: str | int) -> Iterator[None]:
    """Prefix the paths of the faults of a `SpecError`."""
    try:
        yield
    except SpecError as error:
        raise SpecError(*(fault.below(*path) for fault in error.faults)) from None


def misfit(message: str, help: str, path: KeyPath = ()) -> SpecError:
    """Make the error of a layer that its inputs do not fit."""
    return SpecError(Fault("CE204", message, path, "value" if path else "key", help))


class LayerSpec(Spec):
    """The properties of every kind of layer."""

    repeat: Annotated[int, Field(ge=1, le=MOST_LAYERS)] = 1
    """Number of times that the layer is applied, one after another, each with weights of its
    own."""

    parts: ClassVar[tuple[str, ...]] = ()
    """The keys that hold layers."""
    width_key: ClassVar[str | None] = None
    """The key that sets the number of outputs, if one does."""
    is_spatial: ClassVar[bool] = False
    """True if the layer takes images only."""

    @property
    def width(self) -> float | None:
        """Number of outputs that the layer sets itself."""
        return getattr(self, self.width_key) if self.width_key else None

    @property
    def inner(self) -> "Iterator[tuple[str, Layers]]":
        """The layers inside this one, by key."""
        for key in self.parts:
            layers = getattr(self, key)
            if layers is not None:
                yield key, layers

    @property
    def count(self) -> int:
        """Number of layers, with those inside and repetitions."""
        return self.repeat * (1 + sum(each.count for _, layers in self.inner for each in layers))

    def once(self, shape: Shape) -> Shape:
        """Return the shape of the outputs without repetition.

        Raises `SpecError` if the inputs do not fit; its paths are relative to the layer.
        """
        return shape

    def after(self, shape: Shape) -> Shape:
        """Return the shape of the outputs. Raises `SpecError` if the inputs do not fit."""
        for _ in range(self.repeat):
            before, shape = shape, self.once(shape)
            if shape == before:
                break
        return shape

    def node(self, shape: Shape) -> Any:
        """Build the layer, whose inputs have this shape, of a kind that a plugin adds: an instance
        of a class derived from `ceflow.compiler.nodes.Layer`.
        """
        raise TypeError(f"no meaning is registered for the layer {type(self).__name__}")

    @property
    def is_added(self) -> bool:
        """True if a plugin adds this kind of layer."""
        return type(self).node is not LayerSpec.node

    def image(self, shape: Shape) -> tuple[float, int, int]:
        """Return the shape of an image. Raises `SpecError` for a vector."""
        if not isinstance(shape, tuple):
            name = getattr(self, "type")  # noqa: B009 (each kind has one)
            message = f"{name} takes images, and gets {shape_text(shape)}"
            raise misfit(message, "put it before the layer that makes a vector, or give images")
        return shape


LARGEST_WINDOW = 10_000
Window = Annotated[int, Field(ge=1, le=LARGEST_WINDOW)]


class _NameOrNumber:
    """The annotation of a whole number, or one of a few names."""

    def __init__(self, *names: str, least: int = 0):
        self.names = names
        self.least = least

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(self._checked)

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> JsonSchemaValue:
        numbers = {"type": "integer", "minimum": self.least, "maximum": LARGEST_WINDOW}
        return {"anyOf": [{"enum": list(self.names)}, numbers]}

    def _checked(self, value: Any) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value in self.names or (whole and self.least <= value <= LARGEST_WINDOW):
            return value
        names = ", ".join(f'"{name}"' for name in self.names)
        numbers = f"a whole number from {self.least} to {LARGEST_WINDOW}"
        expected = {"expected": f"{names} or {numbers}"}
        raise PydanticCustomError("name_or_number", "must be {expected}", expected)


Padding = Annotated[int | str, _NameOrNumber("same", "valid", "circular")]
PoolPadding = Annotated[int | str, _NameOrNumber("same", "valid")]
Groups = Annotated[int | str, _NameOrNumber("depthwise", least=1)]


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


class ActivationLayer(LayerSpec):
    """A nonlinearity; its name alone stands for it."""

    type: Literal["activation"] = "activation"
    """A nonlinearity on each value; `"relu"` is short for `{type = "activation", name =
    "relu"}`."""
    name: Activation
    """The activation function."""


class BatchNormLayer(LayerSpec):
    """Normalisation of each channel over a batch and all positions, then a scale and a shift."""

    type: Literal["batch-norm"] = "batch-norm"
    """Batch normalisation; outside training its running statistics are used, which start at mean 0
    and variance 1. It has no kernel at infinite width."""


class LayerNormLayer(LayerSpec):
    """Normalisation of each example by itself."""

    type: Literal["layer-norm"] = "layer-norm"
    """Layer normalisation: each example by its own mean and variance."""
    axes: Literal["all", "channels"] = "all"
    """What the mean and the variance are taken over: all channels and positions, or the channels
    at each position. The units of a vector are channels."""
    affine: bool = True
    """Whether each channel has a learned scale and shift, which start at 1 and 0. They add
    `S + 1` to the NTK at infinite width, where S is the covariance after the layer."""
    epsilon: Annotated[float, Field(ge=1e-12, le=1)] = 1e-5
    """Number added to the variance."""


class ScaleLayer(LayerSpec):
    """A learned factor of each channel."""

    type: Literal["scale"] = "scale"
    """A learned factor for each channel; the units of a vector are channels. It adds `S` to the NTK
    at infinite width, where S is the covariance before the layer."""
    initial: Annotated[float, Field(ge=0, le=1e6)] = 1.0
    """Initial value of all factors."""


class PositionEmbeddingLayer(LayerSpec):
    """A learned vector for each position of an image, added to it."""

    type: Literal["position-embedding"] = "position-embedding"
    """A learned vector over the channels, added at each position; without it, `attention` does not
    know where positions are. At infinite width it adds its variance to S and T at equal
    positions."""
    variance: VarianceValue = 1.0
    """Variance of the initial vectors."""

    is_spatial: ClassVar = True

    def once(self, shape: Shape) -> Shape:
        return self.image(shape)


class AveragePoolLayer(LayerSpec):
    """The mean over windows of an image."""

    type: Literal["average-pool"] = "average-pool"
    """The mean over windows; positions that do not fill a window are dropped."""
    window: Window
    """Side of a window."""
    stride: Window | None = None
    """Distance of neighbouring windows; by default they do not overlap."""

    is_spatial: ClassVar = True

    def once(self, shape: Shape) -> Shape:
        image = self.image(shape)
        stride = self.stride or self.window
        return image[0], *strided(image, self.window, stride, (0, 0), "window")


class MaxPoolLayer(LayerSpec):
    """The maximum over windows of an image."""

    type: Literal["max-pool"] = "max-pool"
    """The maximum over windows; positions that do not fill a window are dropped. It has no kernel
    at infinite width."""
    window: Window
    """Side of a window."""
    stride: Window | None = None
    """Distance of neighbouring windows; by default they do not overlap."""
    padding: PoolPadding = "valid"
    """What surrounds the image, as in a convolution; what is added is never the maximum."""

    is_spatial: ClassVar = True

    @property
    def edges(self) -> tuple[int, int]:
        """Number of positions added before and after each axis."""
        return edges(self.padding, self.window)

    def once(self, shape: Shape) -> Shape:
        image = self.image(shape)
        if max(self.edges) >= self.window:
            message = f"padding of {max(self.edges)} fills a window of {self.window}"
            raise misfit(message, "take less padding than the window", ("padding",))
        stride = self.stride or self.window
        return image[0], *strided(image, self.window, stride, self.edges, "window")


class GlobalAverageLayer(LayerSpec):
    """The mean over all positions of an image, which gives a vector of its channels."""

    type: Literal["global-average"] = "global-average"
    """The mean of each channel over all positions: a vector."""

    is_spatial: ClassVar = True

    def once(self, shape: Shape) -> Shape:
        return shape[0] if isinstance(shape, tuple) else self.image(shape)


class FlattenLayer(LayerSpec):
    """All values of an image as a vector."""

    type: Literal["flatten"] = "flatten"
    """An image as a vector; a vector stays as it is."""

    def once(self, shape: Shape) -> Shape:
        return math.prod(shape) if isinstance(shape, tuple) else shape


class SequenceLayer(LayerSpec):
    """Layers one after another, to repeat them together."""

    type: Literal["sequence"] = "sequence"
    """Layers one after another. With `repeat`, all of them are repeated in turn."""
    layers: "Layers"
    """The layers, first to last."""

    parts: ClassVar = ("layers",)

    def once(self, shape: Shape) -> Shape:
        return through(self.layers, shape, "layers")


class ResidualLayer(LayerSpec):
    """The sum of a body and a shortcut."""

    type: Literal["residual"] = "residual"
    """A residual connection: the outputs of the body are added to those of the shortcut."""
    body: "Layers"
    """The layers of the body."""
    shortcut: "Layers | None" = None
    """The layers of the shortcut; by default it is the identity."""

    parts: ClassVar = ("body", "shortcut")

    def once(self, shape: Shape) -> Shape:
        body = through(self.body, shape, "body")
        straight = through(self.shortcut, shape, "shortcut") if self.shortcut else shape
        if body != straight:
            other = "the shortcut gives" if self.shortcut else "its input is"
            message = f"the body gives {shape_text(body)}, and {other} {shape_text(straight)}"
            help = "let the body keep the shape, or give a shortcut that changes it in the same way"
            raise misfit(message, help, ("body",))
        return body


class EnsembleLayer(LayerSpec):
    """Independent copies of some layers, summed and divided by the root of their number: the
    intermediate aggregation of CE section 4.2.
    """

    type: Literal["ensemble"] = "ensemble"
    """A collegial ensemble: members with weights of their own, whose outputs are summed and divided
    by sqrt(multiplicity)."""
    multiplicity: Count
    """Number of members, m."""
    layers: "Layers"
    """The layers of each member."""

    parts: ClassVar = ("layers",)

    def once(self, shape: Shape) -> Shape:
        return through(self.layers, shape, "layers")


class TokenMixingLayer(LayerSpec):
    """Layers on an image whose positions and channels are swapped."""

    type: Literal["token-mixing"] = "token-mixing"
    """Layers that mix positions, as in an MLP-Mixer: they see the positions of the image as
    channels, and its channels as positions, so that a convolution of kernel 1 acts on all positions
    of each channel, with the same weights. It has no kernel at infinite width."""
    layers: "Layers"
    """The layers; they end in as many channels as the image has positions, and keep their
    positions."""

    parts: ClassVar = ("layers",)
    is_spatial: ClassVar = True

    def swapped(self, image: tuple[float, int, int]) -> tuple[int, int, int]:
        """Return the shape of an image whose positions are channels, and channels positions."""
        return image[1] * image[2], int(image[0]), 1

    def once(self, shape: Shape) -> Shape:
        image = self.image(shape)
        if image[0] == math.inf:
            message = "infinitely many channels cannot be the positions of token-mixing"
            raise misfit(message, "give the layer before it a number of channels")
        swapped = self.swapped(image)
        mixed = through(self.layers, swapped, "layers")
        if mixed != swapped:
            message = f"the layers take {shape_text(swapped)}, and give {shape_text(mixed)}"
            help = f"let them end in {swapped[0]} channels, and keep the height and width"
            raise misfit(message, help, ("layers",))
        return image


class DropoutLayer(LayerSpec):
    """Random zeros in training."""

    type: Literal["dropout"] = "dropout"
    """Dropout: in training, a random part of the values is 0 and the rest is scaled up. Elsewhere
    it does nothing."""
    rate: Annotated[float, Field(ge=0, lt=1)] = 0.5
    """Probability that a value is dropped."""


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


_Known = (
    DenseLayer
    | ConvolutionLayer
    | ActivationLayer
    | BatchNormLayer
    | LayerNormLayer
    | ScaleLayer
    | PositionEmbeddingLayer
    | AveragePoolLayer
    | MaxPoolLayer
    | GlobalAverageLayer
    | FlattenLayer
    | SequenceLayer
    | ResidualLayer
    | EnsembleLayer
    | TokenMixingLayer
    | DropoutLayer
    | AttentionLayer
)
if TYPE_CHECKING:
    KINDS = _Known
else:
    KINDS = with_plugins(_Known, "layer", LayerSpec, "type")

LAYER_NAMES: tuple[str, ...] = tuple(
    get_args(kind.model_fields["type"].annotation)[0] for kind in get_args(KINDS)
)
SHORT_NAMES = (
    *get_args(Activation),
    *("global-average", "flatten", "batch-norm", "layer-norm", "scale", "position-embedding"),
    *("dropout", "dense"),
)
"""Layers that a name alone stands for."""


def _long_form(value: Any) -> Any:
    """Turn the name of a layer into its table."""
    if not isinstance(value, str):
        return value
    if value in get_args(Activation):
        return {"type": "activation", "name": value}
    if value in LAYER_NAMES:
        return {"type": value}
    raise PydanticCustomError("layer_name", "is no layer")


def short_form(layer: LayerSpec) -> str | None:
    """Return the name that stands for a layer, if it has no other keys.

    >>> short_form(ActivationLayer(name="relu")), short_form(DropoutLayer(rate=0.1))
    ('relu', None)
    """
    if layer == type(layer).model_construct():
        return getattr(layer, "type")  # noqa: B009 (each kind has one)
    if isinstance(layer, ActivationLayer) and layer.repeat == 1:
        return layer.name
    return None


class _ShortForms:
    """Adds the names of layers to the schema of their tables."""

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> JsonSchemaValue:
        return {"anyOf": [{"enum": list(SHORT_NAMES)}, handler(core)]}


Layer = Annotated[
    Annotated[KINDS, Field(discriminator="type")], BeforeValidator(_long_form), _ShortForms()
]
"""A layer: a table, or a name alone."""

Layers = Annotated[Sequence[Layer], AfterValidator(tuple), Field(min_length=1)]
"""Layers one after another."""

for _kind in (SequenceLayer, ResidualLayer, EnsembleLayer, TokenMixingLayer):
    _kind.model_rebuild()


def through(layers: Sequence[LayerSpec], shape: Shape, *path: str | int) -> Shape:
    """Return the shape after some layers. Raises `SpecError`, with the path of the layer that does
    not fit, below `path`.

    >>> through([ConvolutionLayer(channels=8), FlattenLayer()], (3, 4, 4))
    128
    """
    for index, layer in enumerate(layers):
        with below(*path, index):
            shape = layer.after(shape)
    return shape


def each(layers: Sequence[LayerSpec], *path: str | int) -> Iterator[tuple[KeyPath, LayerSpec]]:
    """Yield layers and those inside them, each with its path."""
    for index, layer in enumerate(layers):
        yield (*path, index), layer
        for key, inner in layer.inner:
            yield from each(inner, *path, index, key)


def layer_at(layers: Sequence[LayerSpec], path: KeyPath) -> LayerSpec:
    """Return the layer at a path below some layers, such as `(2, "body", 1)`."""
    index, *deeper = path
    layer = layers[int(index)]
    return layer_at(getattr(layer, str(deeper[0])), tuple(deeper[1:])) if deeper else layer


def shape_before(layers: Sequence[LayerSpec], shape: Shape, path: KeyPath) -> Shape:
    """Return the shape of the inputs of the layer at a path below some layers.

    >>> layers = [ConvolutionLayer(channels=8, stride=2), EnsembleLayer(multiplicity=2,
    ...     layers=[FlattenLayer(), DenseLayer(units=3)])]
    >>> shape_before(layers, (3, 4, 4), (1,)), shape_before(layers, (3, 4, 4), (1, "layers", 1))
    ((8, 2, 2), 32)
    """
    index, *deeper = path
    shape = through(layers[: int(index)], shape)
    if not deeper:
        return shape
    inner = getattr(layers[int(index)], str(deeper[0]))
    return shape_before(inner, shape, tuple(deeper[1:]))


def is_depthwise(layer: LayerSpec) -> bool:
    """Return whether a layer filters each channel by itself."""
    return isinstance(layer, ConvolutionLayer) and layer.groups == "depthwise"


def edges(padding: str | int, window: int) -> tuple[int, int]:
    """Return the number of positions that a padding adds before and after each axis.

    >>> edges("same", 3), edges("same", 2), edges("valid", 3), edges(2, 3)
    ((1, 1), (0, 1), (0, 0), (2, 2))
    """
    if padding == "valid":
        return 0, 0
    if isinstance(padding, int):
        return padding, padding
    return (window - 1) // 2, window // 2


def strided(
    image: tuple[float, int, int], window: int, stride: int, edges: tuple[int, int], key: str
) -> tuple[int, int]:
    """Return height and width after windows `stride` apart.

    Raises `SpecError`, at the key of the window, if the window is larger than the image.
    """
    sides = [side + sum(edges) for side in image[1:]]
    if window > min(sides):
        padded = f", {sum(edges)} of padding included" if any(edges) else ""
        message = f"a {key} of {window} is larger than {shape_text(image)}{padded}"
        raise misfit(
            message, f"take a smaller {key}, or fewer layers that shrink the image", (key,)
        )
    height, width = ((side - window) // stride + 1 for side in sides)
    return height, width


def _open(key: str, layer: str) -> Fault:
    message = f"the key {key!r} is missing"
    help = f"as {key} = 64; only the last {layer} may leave it to the data"
    return Fault("CE102", message, (), "key", help, missing=key)

"""The union of all kinds of layers, their short forms, and walks through trees of them."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import AfterValidator, BeforeValidator, Field
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError

from ceflow.spec.base import KeyPath
from ceflow.spec.models.activations import Activation
from ceflow.spec.models.layers.base import LayerSpec, Shape, through
from ceflow.spec.models.layers.composed import (
    EnsembleLayer,
    ResidualLayer,
    SequenceLayer,
    TokenMixingLayer,
)
from ceflow.spec.models.layers.linear import AttentionLayer, ConvolutionLayer, DenseLayer
from ceflow.spec.models.layers.pointwise import (
    ActivationLayer,
    BatchNormLayer,
    DropoutLayer,
    LayerNormLayer,
    PositionEmbeddingLayer,
    ScaleLayer,
)
from ceflow.spec.models.layers.pools import (
    AveragePoolLayer,
    FlattenLayer,
    GlobalAverageLayer,
    MaxPoolLayer,
)
from ceflow.spec.plugins import with_plugins

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
    if value in LAYER_NAMES:  # which a plugin's activation may share
        return {"type": value}
    if value in get_args(Activation):
        return {"type": "activation", "name": value}
    raise PydanticCustomError("layer_name", "is no layer")


def short_form(layer: LayerSpec) -> str | None:
    """Return the name that stands for a layer, if it has no other keys.

    >>> short_form(ActivationLayer(name="relu")), short_form(DropoutLayer(rate=0.1))
    ('relu', None)
    """
    if layer == type(layer).model_construct():
        return getattr(layer, "type")  # noqa: B009 (each kind has one)
    if isinstance(layer, ActivationLayer) and layer.repeat == 1:
        return layer.name if layer.name not in LAYER_NAMES else None
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


def ends_in_batch_norm(layers: Sequence[LayerSpec]) -> bool:
    """Tell whether the outputs of layers are those of a batch normalisation, or of an ensemble of
    such.

    >>> ends_in_batch_norm([DenseLayer(), BatchNormLayer()]), ends_in_batch_norm([DenseLayer()])
    (True, False)
    """
    last = layers[-1]
    if isinstance(last, SequenceLayer | EnsembleLayer):
        return ends_in_batch_norm(last.layers)
    return isinstance(last, BatchNormLayer)


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

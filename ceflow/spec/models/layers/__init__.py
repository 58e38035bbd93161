"""The layers of a network.

Every kind is a table with a `type`; a layer without further keys, or an activation, is its name
alone. A layer knows the shape of its outputs from that of its inputs: a number of units, or the
channels, height and width of an image (`base`).

The kinds are `linear` maps, `pointwise` layers, `pools`, and those `composed` of others; what they
expand to stands in files of the same names in `ceflow.compiler.nodes`. `trees` has the union
`Layer` of all of them, with those of plugins, and walks through trees. It comes last: what a plugin
derives a layer from is here by then.
"""

from ceflow.spec.models.layers.base import (
    LARGEST_WINDOW,
    MOST_LAYERS,
    LayerSpec,
    Shape,
    Window,
    below,
    edges,
    misfit,
    shape_text,
    strided,
    through,
)
from ceflow.spec.models.layers.composed import (
    EnsembleLayer,
    ResidualLayer,
    SequenceLayer,
    TokenMixingLayer,
)
from ceflow.spec.models.layers.linear import (
    AttentionLayer,
    ConvolutionLayer,
    DenseLayer,
    Groups,
    Padding,
    is_depthwise,
)
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
    PoolPadding,
)
from ceflow.spec.models.layers.trees import (
    KINDS,
    LAYER_NAMES,
    SHORT_NAMES,
    Layer,
    Layers,
    each,
    ends_in_batch_norm,
    layer_at,
    shape_before,
    short_form,
)

__all__ = [
    "KINDS",
    "LARGEST_WINDOW",
    "LAYER_NAMES",
    "MOST_LAYERS",
    "SHORT_NAMES",
    "ActivationLayer",
    "AttentionLayer",
    "AveragePoolLayer",
    "BatchNormLayer",
    "ConvolutionLayer",
    "DenseLayer",
    "DropoutLayer",
    "EnsembleLayer",
    "FlattenLayer",
    "GlobalAverageLayer",
    "Groups",
    "Layer",
    "LayerNormLayer",
    "LayerSpec",
    "Layers",
    "MaxPoolLayer",
    "Padding",
    "PoolPadding",
    "PositionEmbeddingLayer",
    "ResidualLayer",
    "ScaleLayer",
    "SequenceLayer",
    "Shape",
    "TokenMixingLayer",
    "Window",
    "below",
    "each",
    "edges",
    "ends_in_batch_norm",
    "is_depthwise",
    "layer_at",
    "misfit",
    "shape_before",
    "shape_text",
    "short_form",
    "strided",
    "through",
]

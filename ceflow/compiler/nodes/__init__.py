"""A network as a tree of layers with shapes: what a model spec expands to.

Counts are computed from this tree, modules are built from it, and infinite-width kernels follow it.
Widths may be `math.inf`; counts are then infinite too. The inputs and outputs of a layer are a
number of units, or the shape of an image (`base`).

Layers stand in files of the same names as their classes in documents (`ceflow.spec.models.layers`):
`linear` maps, `pointwise` layers, `pools`, and those `composed` of others. `trees` has the union
`Node` of all of them, and walks through trees.
"""

from ceflow.compiler.nodes.base import (
    Image,
    Layer,
    Shape,
    centre,
    channels,
    image,
    positions,
    units,
)
from ceflow.compiler.nodes.composed import (
    Chain,
    Ensemble,
    External,
    Residual,
    TokenMixing,
)
from ceflow.compiler.nodes.linear import (
    Attention,
    Convolution,
    Dense,
)
from ceflow.compiler.nodes.pointwise import (
    Activation,
    BatchNorm,
    Dropout,
    LayerNorm,
    PositionEmbedding,
    Scale,
)
from ceflow.compiler.nodes.pools import (
    AveragePool,
    Flatten,
    MaxPool,
)
from ceflow.compiler.nodes.trees import (
    Node,
    by_products,
    every,
    is_finite,
    leaves,
    values,
    zero_ended,
)

__all__ = [
    "Activation",
    "Attention",
    "AveragePool",
    "BatchNorm",
    "Chain",
    "Convolution",
    "Dense",
    "Dropout",
    "Ensemble",
    "External",
    "Flatten",
    "Image",
    "Layer",
    "LayerNorm",
    "MaxPool",
    "Node",
    "PositionEmbedding",
    "Residual",
    "Scale",
    "Shape",
    "TokenMixing",
    "by_products",
    "centre",
    "channels",
    "every",
    "image",
    "is_finite",
    "leaves",
    "positions",
    "units",
    "values",
    "zero_ended",
]

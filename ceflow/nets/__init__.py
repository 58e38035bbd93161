"""Equinox modules in NTK parameterisation, each a function of one example.

`dense` and `convolution` hold the layers with weights, derived from the base class in `weighted`.
`learned` holds factors of channels and vectors of positions. `functions` holds the layers without
weights, `batch_norm` the layer with state, `layer_norm` the one that normalises
each example, `attention` mixes positions, and `composed` holds the modules made of other modules.
`convolving` chooses how a convolution is computed, by `winograd` those of 3x3 windows, and
`batched` applies a module to a whole batch.
`types` converts numbers of any type to floats.
"""

from ceflow._numbers import numbers
from ceflow.nets.attention import Attention
from ceflow.nets.batch_norm import BATCH, BatchNorm
from ceflow.nets.batched import of_batch
from ceflow.nets.composed import Ensemble, Frozen, Residual, TokenMixing, holds_state, is_stateful
from ceflow.nets.convolution import Convolution
from ceflow.nets.dense import Dense
from ceflow.nets.functions import ACTIVATIONS, average_pool, global_average, max_pool
from ceflow.nets.layer_norm import LayerNorm
from ceflow.nets.learned import PositionEmbedding, Scale
from ceflow.nets.types import examples, floats

__all__ = [
    "ACTIVATIONS",
    "BATCH",
    "Attention",
    "BatchNorm",
    "Convolution",
    "Dense",
    "Ensemble",
    "Frozen",
    "LayerNorm",
    "PositionEmbedding",
    "Residual",
    "Scale",
    "TokenMixing",
    "average_pool",
    "examples",
    "floats",
    "global_average",
    "holds_state",
    "is_stateful",
    "max_pool",
    "numbers",
    "of_batch",
]

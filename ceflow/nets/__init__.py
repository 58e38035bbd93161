"""Equinox modules in NTK parameterisation: one example in, its outputs out.

`dense` and `convolution` are layers that are `weighted`, `functions` those without weights;
`batch_norm` has state, `composed` modules are made of others. `types` makes numbers of any type
floats.
"""

from ceflow._numbers import numbers
from ceflow.nets.batch_norm import BATCH, BatchNorm
from ceflow.nets.composed import Ensemble, Frozen, Residual, is_stateful
from ceflow.nets.convolution import Convolution
from ceflow.nets.dense import Dense
from ceflow.nets.functions import ACTIVATIONS, average_pool, global_average, max_pool
from ceflow.nets.types import examples, floats

__all__ = [
    "ACTIVATIONS",
    "BATCH",
    "BatchNorm",
    "Convolution",
    "Dense",
    "Ensemble",
    "Frozen",
    "Residual",
    "average_pool",
    "examples",
    "floats",
    "global_average",
    "is_stateful",
    "max_pool",
    "numbers",
]

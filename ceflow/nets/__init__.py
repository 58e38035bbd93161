"""Equinox modules in NTK parameterisation: one example in, its outputs out."""

from ceflow._numbers import numbers
from ceflow.nets.activations import ACTIVATIONS, SLOPES
from ceflow.nets.batch_norm import BatchNorm
from ceflow.nets.convolution import Convolution
from ceflow.nets.dense import Dense
from ceflow.nets.ensemble import Ensemble
from ceflow.nets.pooling import average_pool, global_average, max_pool
from ceflow.nets.residual import Residual
from ceflow.nets.states import BATCH, Frozen, is_stateful
from ceflow.nets.types import examples, floats

__all__ = [
    "ACTIVATIONS",
    "BATCH",
    "SLOPES",
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

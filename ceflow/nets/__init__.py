"""Equinox modules in NTK parameterisation: one example in, its outputs out."""

from ceflow.nets.activations import ACTIVATIONS
from ceflow.nets.convolution import Convolution
from ceflow.nets.dense import Dense
from ceflow.nets.ensemble import Ensemble
from ceflow.nets.pooling import average_pool, global_average
from ceflow.nets.residual import Residual

__all__ = [
    "ACTIVATIONS",
    "Convolution",
    "Dense",
    "Ensemble",
    "Residual",
    "average_pool",
    "global_average",
]

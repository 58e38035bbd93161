"""Equinox modules in NTK parameterisation: one example in, its outputs out."""

from ceflow.nets.activations import ACTIVATIONS
from ceflow.nets.dense import Dense
from ceflow.nets.ensemble import Ensemble

__all__ = ["ACTIVATIONS", "Dense", "Ensemble"]

"""The language: what a document may say, and how it is read and written. Never imports JAX."""

from ceflow.spec.base import Spec
from ceflow.spec.data import Cifar10, Circle, Data, Digits, Gaussian, Idx, Npz
from ceflow.spec.diagnostics import Fault, Place, SpecError
from ceflow.spec.document import VERSION, Document
from ceflow.spec.models import Ensemble, Mlp, Model
from ceflow.spec.origin import Origin, placing, stack
from ceflow.spec.reading import check, load, loads
from ceflow.spec.schema import json_schema
from ceflow.spec.stages import (
    FEWEST_DRAWS,
    Kernel,
    Search,
    Stage,
    StageSpec,
    Variance,
    member_of,
)
from ceflow.spec.sweep import Sweep, variants
from ceflow.spec.text import Text
from ceflow.spec.writing import dumps, dumps_origins, tree_of

__all__ = [
    "FEWEST_DRAWS",
    "VERSION",
    "Cifar10",
    "Circle",
    "Data",
    "Digits",
    "Document",
    "Ensemble",
    "Fault",
    "Gaussian",
    "Idx",
    "Kernel",
    "Mlp",
    "Model",
    "Npz",
    "Origin",
    "Place",
    "Search",
    "Spec",
    "SpecError",
    "Stage",
    "StageSpec",
    "Sweep",
    "Text",
    "Variance",
    "check",
    "dumps",
    "dumps_origins",
    "json_schema",
    "load",
    "loads",
    "member_of",
    "placing",
    "stack",
    "tree_of",
    "variants",
]

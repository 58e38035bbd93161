"""Data: the kinds of source. `ceflow.data` reads them.

`source` has the keys and properties that they share; `labelled` sources have classes, and most of
them files; `generated` ones have neither.
"""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ceflow.spec.data.generated import Circle, DeepGp, Gaussian
from ceflow.spec.data.labelled import (
    Cifar10,
    Cifar100,
    DataTable,
    Digits,
    Emnist,
    Idx,
    ImageFiles,
    Imagenet32,
    Imagenet64,
    Npz,
)
from ceflow.spec.data.source import DataSpec, Files, Labelled, Source
from ceflow.spec.plugins import with_plugins

__all__ = [
    "Cifar10",
    "Cifar100",
    "Circle",
    "Data",
    "DataSpec",
    "DataTable",
    "DeepGp",
    "Digits",
    "Emnist",
    "Files",
    "Gaussian",
    "Idx",
    "ImageFiles",
    "Imagenet32",
    "Imagenet64",
    "Labelled",
    "Npz",
    "Source",
]

_Known = (
    Digits
    | Idx
    | Emnist
    | Cifar10
    | Cifar100
    | Imagenet32
    | Imagenet64
    | ImageFiles
    | Npz
    | DataTable
    | Gaussian
    | DeepGp
    | Circle
)
if TYPE_CHECKING:
    Data = _Known
else:
    Data = Annotated[
        with_plugins(_Known, "source", DataSpec, "source"), Field(discriminator="source")
    ]

"""Checks for numbers of a document that float32 cannot hold."""

import math
from collections.abc import Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from ceflow.spec.base import KeyPath, Spec
from ceflow.spec.diagnostics import Fault

if TYPE_CHECKING:
    from ceflow.spec.document import Document

DECAYS = ("momentum", "betas", "average")
SMALLEST_PART = 2.0**-25
"""Largest part of 1 that float32 leaves out below it."""

LARGEST_FLOAT32, SMALLEST_FLOAT32 = 3.4e38, 1.2e-38
"""Range of float32: larger numbers become infinite, smaller ones 0 or imprecise."""


def float32_faults(document: "Document") -> Iterator[Fault]:
    """Find the numbers of a float32 document that would become infinite or 0.

    The data, the model, and the stages that integrate or train are checked.
    """
    if document.precision != "float32":
        return
    parts: list[tuple[KeyPath, Any]] = [
        (("data",), document.data),
        (("model",), document.model),
    ]
    stages = document.stages.items()
    parts += [(("stages", name), stage) for name, stage in stages if stage.descends]
    for path, value in chain.from_iterable(_numbers(value, path) for path, value in parts):
        vanishes = 0 < abs(value) < SMALLEST_FLOAT32
        if vanishes or abs(value) > LARGEST_FLOAT32:
            message = f"{value:g} is {'0' if vanishes else 'infinite'} in float32"
            yield Fault("CE104", message, path, help='set precision = "float64"')
    yield from _ones(document)


def _ones(document: "Document") -> Iterator[Fault]:
    """Find decays that float32 rounds to 1, with which nothing would ever decay."""
    for name, stage in document.stages.items():
        for key in DECAYS if stage.descends else ():
            for path, value in _numbers(getattr(stage, key, None), ("stages", name, key)):
                if 1 - SMALLEST_PART < value < 1:
                    message = f"{value!r} is 1 in float32"
                    yield Fault("CE104", message, path, help='set precision = "float64"')


def _numbers(value: Any, path: KeyPath) -> Iterator[tuple[KeyPath, float]]:
    """Yield the finite non-integer numbers, each with its path."""
    if isinstance(value, Spec):
        for key in type(value).model_fields:
            yield from _numbers(getattr(value, key), (*path, key))
    elif isinstance(value, tuple):
        for index, each in enumerate(value):
            yield from _numbers(each, (*path, index))
    elif isinstance(value, float) and math.isfinite(value):
        yield path, value

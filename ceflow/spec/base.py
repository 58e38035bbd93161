"""What every part of the language is made of: the base class and the scalar types."""

import math
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema
from pydantic_core import PydanticCustomError

from ceflow.spec.diagnostics import Fault

Steps = tuple[str | int, ...]
"""Where a value stands in a document: `("model", "widths", 0)`."""


class Spec(BaseModel):
    """A frozen piece of a document. Unknown keys and wrong types are errors, never coerced."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    def faults(self) -> list[Fault]:
        """What is wrong with this piece that no single key shows; paths are relative to it."""
        return []


def _width(value: Any) -> Any:
    if value in ("inf", math.inf):
        return math.inf
    if isinstance(value, int) and not isinstance(value, bool) and value >= 1:
        return value
    raise PydanticCustomError("width", "must be a whole number from 1 up, or inf")


Width = Annotated[
    int | float,
    BeforeValidator(_width),
    WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 1}, {"const": "inf"}]}),
]
"""A layer width: a positive integer or `math.inf` (`inf` or `"inf"` in a document)."""

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

# A TOML array is a Python list; strict mode would refuse it for a tuple.
Widths = Annotated[tuple[Width, ...], Field(strict=False, min_length=1)]
Ratios = Annotated[
    tuple[Annotated[float, Field(gt=0, le=1)], ...], Field(strict=False, min_length=1)
]
Names = Annotated[tuple[str, ...], Field(strict=False, min_length=1)]

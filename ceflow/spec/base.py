"""The base of every part of the language: its class and the scalar types."""

import math
import numbers
import operator
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from ceflow.spec.diagnostics import Fault, SpecError

KeyPath = tuple[str | int, ...]
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

    def __init__(self, /, **values: Any):
        try:
            super().__init__(**values)
        except ValidationError as error:
            plain = _plain(values)
            if repr(plain) != repr(values):
                self.__init__(**plain)
                return
            from ceflow.spec.faults import faults_of  # which knows this class

            raise SpecError(*faults_of(error, values, type(self))) from None

    # pydantic then validates nested tables itself, and collects the faults of all of them
    __init__.__pydantic_base_init__ = True  # pyright: ignore[reportFunctionMemberAccess]

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copy it with other values, which are looked at as those of a new one are.

        Raises `SpecError` where they are not of the language.
        """
        copied = super().model_copy(deep=deep)
        if not update:
            return copied
        given = {key: getattr(copied, key) for key in copied.model_fields_set}
        changed = type(self)(**given | dict(update))
        object.__setattr__(changed, "__pydantic_private__", copied.__pydantic_private__)
        return changed

    def replaced(self, values: Mapping[str, Any]) -> Self:
        """Copy it with other values of ceflow's own, which are not looked at: that is fast."""
        return super().model_copy(update=values)

    def faults(self) -> list[Fault]:
        """Find what is wrong with this piece that no single key shows; paths are relative to it."""
        return []

    @classmethod
    def expect(cls, spec: "Spec") -> Self:
        """Take a spec that is known to be of this kind. Raises `TypeError` where it is not."""
        if not isinstance(spec, cls):
            raise TypeError(f"a {cls.__name__} is needed, not a {type(spec).__name__}")
        return spec

    def changes(self, key: str) -> bool:
        """Tell whether a key has another value than by default."""
        return getattr(self, key) != type(self).model_fields[key].default


def _plain(value: Any) -> Any:
    """Make numbers and arrays of other libraries, such as NumPy's, those of Python."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    if isinstance(value, bool | int | float):
        return value
    if getattr(value, "ndim", 0):
        return value.tolist()
    if isinstance(value, numbers.Integral):
        return operator.index(value)
    return float(value) if isinstance(value, numbers.Real) else value


LARGEST = 10**12
"""The largest count: far past any machine, and safe to multiply."""


def _width(value: Any) -> Any:
    if value in ("inf", math.inf):
        return math.inf
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST:
        return value
    raise PydanticCustomError("width", "must be a whole number from 1 to 10^12, or inf")


Width = Annotated[
    int | float,
    BeforeValidator(_width),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": LARGEST}, {"const": "inf"}]}
    ),
]
"""A layer width: a positive integer or `math.inf` (`inf` or `"inf"` in a document)."""


def _duration(value: Any) -> Any:
    return math.inf if value == "inf" else value


Duration = Annotated[
    float,
    BeforeValidator(_duration),
    Field(gt=0),
    WithJsonSchema({"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"const": "inf"}]}),
]
"""A time: a number above 0, or `inf`."""

Count = Annotated[int, Field(ge=1, le=LARGEST)]
Natural = Annotated[int, Field(ge=0, le=LARGEST)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

VarianceValue = Annotated[float, Field(ge=1e-12, le=1e12)]
"""Of weights or biases: what float32 squares without a loss."""
RelativeError = Annotated[float, Field(ge=1e-6, le=1)]
"""A relative standard error to draw to: draws grow as its inverse square, to 10^12 at most."""

Widths = Annotated[Sequence[Width], AfterValidator(tuple), Field(min_length=1)]
"""Hidden widths: any sequence when a spec is built, a tuple after."""
Ratios = Annotated[
    Sequence[Annotated[float, Field(gt=0, le=1)]], AfterValidator(tuple), Field(min_length=1)
]
Counts = Annotated[Sequence[Count], AfterValidator(tuple)]
Image = Annotated[Sequence[Count], AfterValidator(tuple), Field(min_length=3, max_length=3)]
"""Channels, height and width."""
Names = Annotated[Sequence[str], AfterValidator(tuple), Field(min_length=1)]

UNTOLD = "$"
"""What the names begin with of those kinds of value that are told apart by their form, by no key
of the document."""

TAGS = ("type", "source")
"""The keys that say which kind of model, stage or data a table describes."""

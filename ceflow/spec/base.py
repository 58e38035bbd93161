"""The base of every part of the language: its class and the scalar types."""

import keyword
import math
import numbers
import operator
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Self

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
"""Path of a value in a document: `("model", "widths", 0)`."""


class Spec(BaseModel):
    """An immutable part of a document. Unknown keys and wrong types are errors; nothing
    is coerced.
    """

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        use_attribute_docstrings=True,
        protected_namespaces=(),
    )

    usual_kinds: ClassVar[Mapping[str, Any]] = {}
    """Kinds of the tables that may leave their type out, by key."""
    told_by: ClassVar[str] = ""
    """The key that tells this kind from another that has no tag; empty for the other."""

    def __init__(self, /, **values: Any):
        values = {_key(name): value for name, value in values.items()}
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
        """Return a copy with some values replaced and validated.

        Raises `SpecError` if a new value is invalid.
        """
        copied = super().model_copy(deep=deep)
        if not update:
            return copied
        given = {key: getattr(copied, key) for key in copied.model_fields_set}
        changed = type(self)(**given | dict(update))
        object.__setattr__(changed, "__pydantic_private__", copied.__pydantic_private__)
        return changed

    def replaced(self, values: Mapping[str, Any]) -> Self:
        """Return a copy with some values replaced, without validation, which is faster."""
        return super().model_copy(update=values)

    def faults(self) -> list[Fault]:
        """List the faults of this part that no single key shows; paths are relative to it."""
        return []

    @classmethod
    def expect(cls, spec: "Spec") -> Self:
        """Return `spec`, narrowed to this class. Raises `TypeError` if it is of another class."""
        if not isinstance(spec, cls):
            raise TypeError(f"a {cls.__name__} is needed, not a {type(spec).__name__}")
        return spec

    def changes(self, key: str) -> bool:
        """Tell whether a key differs from its default."""
        return getattr(self, key) != type(self).model_fields[key].default


def _key(name: str) -> str:
    """Return the key that a name in Python stands for: `from_` is `from`, a keyword of Python."""
    key = name.removesuffix("_")
    return key if keyword.iskeyword(key) else name


def _plain(value: Any) -> Any:
    """Convert numbers and arrays of other libraries, such as NumPy, to those of Python."""
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


LARGEST_COUNT = 10**12
"""Largest count: far more than any machine can hold, and safe to multiply."""


def _width(value: Any) -> Any:
    if value in ("inf", math.inf):
        return math.inf
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= LARGEST_COUNT:
        return value
    raise PydanticCustomError("width", "must be a whole number from 1 to 10^12, or inf")


Width = Annotated[
    int | float,
    BeforeValidator(_width),
    WithJsonSchema(
        {"anyOf": [{"type": "integer", "minimum": 1, "maximum": LARGEST_COUNT}, {"const": "inf"}]}
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

Count = Annotated[int, Field(ge=1, le=LARGEST_COUNT)]
Natural = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]

VarianceValue = Annotated[float, Field(ge=1e-12, le=1e12)]
"""Variance of weights or biases, in the range that float32 can square without overflow or
underflow."""
RelativeError = Annotated[float, Field(ge=1e-6, le=1)]
"""Relative standard error at which drawing ends. The number of draws grows as its inverse square,
at most to 10^12."""

Widths = Annotated[Sequence[Width], AfterValidator(tuple), Field(min_length=1)]
"""Hidden widths: any sequence in the constructor, then a tuple."""
Ratio = Annotated[float, Field(gt=0, le=1000)]
Ratios = Annotated[Sequence[Ratio], AfterValidator(tuple), Field(min_length=1)]
Counts = Annotated[Sequence[Count], AfterValidator(tuple)]
Image = Annotated[Sequence[Count], AfterValidator(tuple), Field(min_length=3, max_length=3)]
"""Channels, height and width."""
Names = Annotated[Sequence[str], AfterValidator(tuple), Field(min_length=1)]

FORM_TAG_PREFIX = "$"
"""Prefix of the tags of values whose kind follows from their form, since no key of the document
tells it."""

TAGS = ("type", "source")
"""Keys that tell which kind of model, stage or data a table describes."""

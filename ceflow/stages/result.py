"""The result of a stage: named fields, and the table of them in results.json."""

from collections.abc import Callable, ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema
from pydantic.json_schema import SkipJsonSchema

from ceflow.blocks import ReportBlock, number
from ceflow.blocks.html import section
from ceflow.history import History

if TYPE_CHECKING:
    import numpy as np

    from ceflow.spec import Document, Model

    Array = np.ndarray | str
    """An array. In a run that is read back: the name of its file."""
    Documents = dict[str, Document]
else:
    Array = Annotated[Any, WithJsonSchema({"type": "string"})]
    Documents = SkipJsonSchema[dict[str, Any]]

Values = dict[str, Any]
"""Plain numbers, strings, lists and dictionaries, as results.json holds them."""


class Record(BaseModel):
    """Named fields that can also be read as a table: `found.alpha` is `found["alpha"]`.

    The table has the fields that were set. A field that was not requested is None, and is not in
    the table. A field that is undefined, such as 0/0, is None in both, and a warning says why.

    >>> class Moments(Record):
    ...     mean: float | None = None
    ...     draws: int = 0
    >>> found = Moments(draws=3)
    >>> found.draws, found["draws"], found.mean, "mean" in found, found == {"draws": 3}
    (3, 3, None, False, True)

    Its `repr` leaves out what is None, and shortens long lists and arrays.

    >>> class Fit(Record):
    ...     slope: float
    ...     points: list[Moments]
    ...     why: str | None = None
    >>> Fit(slope=1 / 3, points=[Moments(draws=n) for n in range(9)])
    Fit(slope=0.333333, points=[Moments(draws=0), ... 8 more])
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(
        frozen=True, extra="forbid", arbitrary_types_allowed=True, use_attribute_docstrings=True
    )

    def __getitem__(self, key: str) -> Any:
        if key not in self:
            raise KeyError(key)
        return getattr(self, key)

    def __contains__(self, key: object) -> bool:
        field = type(self).model_fields.get(str(key))
        return key in self.model_fields_set and not (field and field.exclude)

    def __iter__(self) -> Iterator[str]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return (key for key in (*type(self).model_fields, *(self.model_extra or ())) if key in self)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Record):
            other = other.table()
        return self.table() == other if isinstance(other, Mapping) else NotImplemented

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:  # pyright: ignore
        """Yield what `repr` shows: the fields that are not None, long lists and arrays in short."""
        return ((key, _brief(value)) for key, value in self.items() if value is not None)

    def keys(self) -> KeysView[str]:
        return KeysView(self)  # pyright: ignore[reportArgumentType]

    def values(self) -> ValuesView[Any]:
        return ValuesView(self)  # pyright: ignore[reportArgumentType]

    def items(self) -> ItemsView[str, Any]:
        return ItemsView(self)  # pyright: ignore[reportArgumentType]

    def get(self, key: str, default: Any = None) -> Any:
        return self[key] if key in self else default  # noqa: SIM401

    def table(self) -> Values:
        """Return the fields that were set, with nested records as dictionaries."""
        return {key: _plain(value) for key, value in self.items()}


class _Shown(str):
    """A text that is shown without quotes."""

    def __repr__(self) -> str:
        return str(self)


MOST_ITEMS, MOST_RECORDS = 4, 1
"""Maximum numbers of entries of a list, and of records in one, that `repr` shows."""
LONGEST_TEXT = 70
"""Maximum number of characters of a text that `repr` shows."""


def _brief(value: Any) -> Any:
    """Shorten a value for `repr`."""
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _Shown(f"<array {tuple(value.shape)} {value.dtype}>")
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return f"{value[:LONGEST_TEXT]}..."
    if isinstance(value, dict):
        return {key: _brief(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        most = MOST_RECORDS if value and isinstance(value[0], Record) else MOST_ITEMS
        more = [_Shown(f"... {len(value) - most} more")] if len(value) > most + 1 else []
        return [*map(_brief, value[: most if more else None]), *more]
    return _Shown(f"{value:.6g}") if isinstance(value, float) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


Mapping.register(Record)  # pyright: ignore[reportAttributeAccessIssue]


class Result(Record):
    """The result of one stage: its numbers, and everything else that is kept."""

    history: Annotated[History | str | None, WithJsonSchema({"type": "string"})] = None
    """Quantities recorded over time or steps, by flows, trainings, and claims that follow a
    descent. `results.json` holds the file name, `metrics/NAME.jsonl`."""
    warnings: list[str] = []
    """Warnings that a reader of the numbers should know."""
    documents: Documents = Field(default={}, exclude=True)
    """Documents to write beside the results, by file name."""
    contents: SkipJsonSchema[dict[str, bytes]] = Field(default={}, exclude=True)
    """Other files to write beside the results, by file name."""

    ROWS: ClassVar[str] = ""
    """Name of the field that holds one record per row, such as the points of a fit."""
    DESCRIBE: ClassVar[Callable[[Any], list[ReportBlock]] | None] = None
    """Function that describes the result for the report; set by its kind of stage."""

    def headline(self) -> str:
        """Write the main number of the result: its first required one.

        >>> class Found(Result):
        ...     draws: int = 3
        ...     alpha: float
        >>> Found(alpha=3.4125).headline()
        'alpha = 3.413'
        """
        for key, field in type(self).model_fields.items():
            value = getattr(self, key)
            if field.is_required() and isinstance(value, float):
                return f"{key} = {number(value)}"
        return "done"

    def columns(self) -> "dict[str, np.ndarray]":
        """Return the rows of the result, such as a history or the points of a fit, as columns.

        Raises `ValueError` if there are no rows.
        """
        import numpy as np

        if isinstance(self.history, History):
            return {key: self.history[key] for key in self.history.columns}
        if not self.ROWS or getattr(self, self.ROWS) is None:
            raise ValueError(f"{type(self).__name__} has no rows and no history")
        rows: list[Record] = getattr(self, self.ROWS)
        keys = dict.fromkeys(key for row in rows for key in row)
        columns = {key: [getattr(row, key) for row in rows] for key in keys}
        return {
            key: np.array([np.nan if value is None else value for value in column])
            for key, column in columns.items()
        }

    def _repr_html_(self) -> str:
        """Show the result in a notebook as in the terminal."""
        describe = type(self).DESCRIBE
        return section(type(self).__name__, describe(self) if describe else [])

    def arrays(self) -> "dict[str, np.ndarray]":
        """Return the arrays that are not yet in a file, by field name."""
        import numpy as np

        return {key: value for key, value in self.items() if isinstance(value, np.ndarray)}

    def models(self) -> "dict[str, Model]":
        """Return the models that later stages can act on, by the name of the answer."""
        return {}

    @property
    def caution(self) -> str | None:
        """Warning that stages which use this result must repeat, or None."""
        return None

    def warned(self, *sentences: str) -> Self:
        """Return a copy with more warnings, each kept once."""
        said = list(dict.fromkeys((*self.warnings, *sentences)))
        return self.model_copy(update={"warnings": said}) if sentences else self


Some = TypeVar("Some", bound=Result)


def measured(
    result: Some, fields: Iterable[str], measure: Callable[[], Mapping[str, Any]], name: str
) -> Some:
    """Add to a result the fields that a measurement returns.

    If the measurement raises `ValueError` or `ArithmeticError`, because it is undefined, each of
    these fields is None, and a warning says why.

    >>> class Trace(Result):
    ...     trace: float
    ...     ratio: float | None = None
    >>> whole = measured(Trace(trace=1.0), ["ratio"], lambda: {"ratio": 1 / 0}, "the ratio")
    >>> whole.table()
    {'warnings': ['the ratio is undefined: division by zero'], 'trace': 1.0, 'ratio': None}
    """
    try:
        return result.model_copy(update=dict(measure()))
    except (ValueError, ArithmeticError) as error:
        return undefined(result, fields, f"{name} is undefined: {error}")


def undefined(result: Some, fields: Iterable[str], why: str) -> Some:
    """Set fields that are undefined to None, and add a warning that says why."""
    return result.model_copy(update=dict.fromkeys(fields)).warned(why)

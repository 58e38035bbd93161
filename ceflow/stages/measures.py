"""Measures that may be undefined, such as 0/0: null, with a warning, and nothing else is lost."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeVar

from ceflow.stages.result import Result

Some = TypeVar("Some", bound=Result)


def measured(
    result: Some, fields: Iterable[str], measure: Callable[[], Mapping[str, Any]], name: str
) -> Some:
    """Add to a result the fields that a measure gives.

    Where the measure is undefined, and so raises `ValueError` or `ArithmeticError`, each of these
    fields is None, and a warning says why.

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
        unknown = result.model_copy(update=dict.fromkeys(fields))
        return unknown.warned(f"{name} is undefined: {error}")

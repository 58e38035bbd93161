"""Reading results back, whichever version of ceflow wrote them."""

import copy
from typing import Any, TypeVar

from pydantic import ValidationError

from ceflow.spec.trees import child
from ceflow.stages import Record

Some = TypeVar("Some", bound=Record)


def read_as(kind: type[Some], values: Any) -> Some:
    """Build a record from its table, without keys that this version does not know.

    Raises `ValidationError` if a required key is missing or a value has the wrong type.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        every = error.errors(include_url=False)
        unknown = [each["loc"] for each in every if each["type"] == "extra_forbidden"]
        if not unknown:
            raise
        return kind.model_validate(_without(values, unknown))


def _without(values: Any, paths: list[tuple[int | str, ...]]) -> Any:
    kept = copy.deepcopy(values)
    for *above, last in paths:
        table = kept
        for step in above:
            below = child(table, step)
            table = table if below is None else below  # a step may name one of several kinds
        table.pop(last, None)
    return kept


def why_unreadable(kind: type[Record], values: Any) -> str:
    """Say why this version cannot read a table; '' if it can."""
    try:
        read_as(kind, values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(map(str, first["loc"])) or "the table"
        how = "is missing" if first["type"] == "missing" else "is not what it is here"
        return f"another version of ceflow wrote its results, or a hand: {key} {how}"
    return ""

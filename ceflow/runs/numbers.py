"""The numbers of results: as JSON can hold them, by name, and in sentences."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ceflow.blocks import Cell
from ceflow.stages import Values

MOST_NAMES = 5
"""Maximum number of names listed in a sentence; it counts the rest."""

ENDED = "ended"
"""The one text among the numbers: how a descent ended."""


def plain(values: Any) -> tuple[Any, list[str]]:
    """Convert to plain JSON values, with null for numbers that are not finite, and list their
    paths.

    >>> plain({"a": 1.0, "b": [float("nan"), (2, 3)]})
    ({'a': 1.0, 'b': [None, [2, 3]]}, ['b.0'])
    """
    tree = json.loads(json.dumps(values))
    lost = list(_lost(tree, ()))
    for path in lost:
        *above, last = path
        inside = tree
        for key in above:
            inside = inside[key]
        inside[last] = None
    return tree, [".".join(map(str, path)) for path in lost]


def _lost(values: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    below = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in below:
        if isinstance(value, dict | list):
            yield from _lost(value, (*path, key))
        elif isinstance(value, float) and not math.isfinite(value):
            yield (*path, key)


def listed(names: Sequence[str], most: int = MOST_NAMES) -> str:
    """Write some names, and how many more there are.

    >>> listed(["a", "b"]), listed(list("abcdefg"))
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = len(names) - most
    return ", ".join(names[:most]) + (f" and {more} more" if more > 0 else "")


def numbers_of(results: Mapping[str, Values]) -> Iterator[tuple[str, Cell | None]]:
    """Yield the numbers of all stages, by stage and key, and how their descents ended."""
    for stage, values in results.items():
        yield from ((f"{stage}.{key}", value) for key, value in _numbers(values))


def _numbers(values: Values) -> Iterator[tuple[str, Cell | None]]:
    """Yield how a stage ended and its numbers, undefined ones too, then those of its tables."""
    for key, value in values.items():
        if value is None or key == ENDED or is_number(value):
            yield key, value
    for name, table in values.items():
        if isinstance(table, dict):
            yield from ((f"{name}.{key}", value) for key, value in _numbers(table))


def is_number(value: object) -> bool:
    """Tell whether a value is a number, which `True` and `False` are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)

"""Numbers that JSON has, and what is said of those it has not."""

import json
import math
from collections.abc import Iterator
from typing import Any

SHOWN = 5
"""Names in a sentence; of more it says how many."""


def plain(values: Any) -> tuple[Any, list[str]]:
    """Write as plain JSON, null for a number that is not finite, and list the paths of those.

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


def listed(names: list[str]) -> str:
    """Write some names, and how many more there are.

    >>> listed(["a", "b"]), listed(list("abcdefg"))
    ('a, b', 'a, b, c, d, e and 2 more')
    """
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")

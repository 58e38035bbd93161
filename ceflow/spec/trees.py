"""Trees of plain values, as parsed from TOML and JSON."""

import re
from collections.abc import Sequence
from typing import Any


def index_of(array: Sequence[Any], step: str | int) -> int | None:
    """Return the index of an entry that a step of a dotted path names, counted from 0 and written
    without leading zeros; None if there is no such entry.

    >>> index_of(["relu", "flatten"], "1"), index_of(["relu"], "1"), index_of(["relu"], "type")
    (1, None, None)
    """
    name = str(step)
    found = int(name) if re.fullmatch(r"0|[1-9][0-9]{0,8}", name) else len(array)
    return found if found < len(array) else None


def numbering(array: Sequence[Any], step: str) -> str:
    """Say how entries of an array are numbered, for a step that names none of them.

    >>> numbering(["relu", "flatten"], "-1")
    'entries are numbered from 0 to 1, and the last is 1'
    """
    if not array:
        return "the array is empty"
    last = len(array) - 1
    if re.fullmatch(r"0[0-9]{1,8}", step) and int(step) <= last:
        return f"numbers have no leading zeros: write {int(step)}"
    end = f", and the last is {last}" if step.startswith("-") else ""
    return f"entries are numbered from 0 to {last}{end}"


def child(tree: Any, step: str | int) -> Any:
    """Return the value one step down a tree, or None.

    A table may stand for entries of an array, with their indices as keys
    (`ceflow.spec.origin.overlay`).
    """
    if isinstance(tree, dict):
        return tree.get(str(step))
    place = index_of(tree, step) if isinstance(tree, list) else None
    return None if place is None else tree[place]


def remove(tree: Any, path: tuple[str | int, ...]) -> None:
    """Remove a value from a tree, if it is there."""
    for step in path[:-1]:
        tree = child(tree, step)
    if path and child(tree, path[-1]) is not None:
        last = path[-1]
        del tree[str(last) if isinstance(tree, dict) else int(last)]

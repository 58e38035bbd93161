"""Trees of plain values, as parsed from TOML and JSON."""

from typing import Any


def index_of(array: list[Any], step: str | int) -> int | None:
    """Return the index of an entry that a step of a dotted path names, counted from 0; None if
    there is no such entry.

    >>> index_of(["relu", "flatten"], "1"), index_of(["relu"], "1"), index_of(["relu"], "type")
    (1, None, None)
    """
    name = str(step)
    found = int(name) if name.isdecimal() and name.isascii() and len(name) < 10 else len(array)
    return found if found < len(array) else None


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

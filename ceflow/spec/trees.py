"""Trees of plain values, as parsed from TOML and JSON."""

from typing import Any


def child(tree: Any, step: str | int) -> Any:
    """Return the value one step down a tree, or None."""
    try:
        return tree[step]
    except (KeyError, IndexError, TypeError):
        return None


def remove(tree: Any, path: tuple[str | int, ...]) -> None:
    """Remove a value from a tree, if it is there."""
    for step in path[:-1]:
        tree = child(tree, step)
    if path and child(tree, path[-1]) is not None:
        del tree[path[-1]]

"""Trees of plain values, as TOML and JSON give them."""

from typing import Any


def child(tree: Any, step: str | int) -> Any:
    """Go one step down a tree; None where there is none."""
    try:
        return tree[step]
    except (KeyError, IndexError, TypeError):
        return None


def remove(tree: Any, path: tuple[str | int, ...]) -> None:
    """Take a value out of a tree, where it is there."""
    for step in path[:-1]:
        tree = child(tree, step)
    if path and child(tree, path[-1]) is not None:
        del tree[path[-1]]

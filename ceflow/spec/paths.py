"""Paths and values that comparisons between runs name: swept values, and quantities of stages."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ceflow.spec.trees import index_of

if TYPE_CHECKING:
    from ceflow.spec.document import Document

ERRORS = {"train_error": "train_accuracy", "test_error": "test_accuracy"}
"""Numbers that can be collected wherever an accuracy is known: 1 - accuracy."""


def is_axis_value(value: Any) -> bool:
    """Tell whether a value can be drawn on an axis."""
    if isinstance(value, list | tuple) and value and all(item == value[0] for item in value):
        value = value[0]
    return value == "inf" or (isinstance(value, int | float) and not isinstance(value, bool))


def value_label(value: Any) -> str:
    """Write a swept value in few characters; a list of equal values is written as one.

    >>> value_label([16, 16]), value_label([16, 8]), value_label("relu")
    ('16', '16 8', 'relu')
    """
    if not isinstance(value, list | tuple):
        return str(value)
    one = len(set(map(str, value))) == 1
    return str(value[0]) if one else " ".join(map(str, value))


def same_label(values: Iterable[Any]) -> tuple[Any, Any] | None:
    """Find two lists of different lengths that have the same label, so that runs with one would be
    taken for runs with the other.

    >>> same_label([[10], [10, 5], [10, 10]]), same_label([[8, 8], [16, 16], 8])
    (([10], [10, 10]), None)
    """
    lists = [list(value) for value in values if isinstance(value, list | tuple)]
    first: dict[str, list[Any]] = {}
    for value in lists:
        other = first.setdefault(value_label(value), value)
        if len(other) != len(value):
            return other, value
    return None


def same_value(one: Any, other: Any) -> bool:
    """Tell whether two swept values have the same label, or are the same number.

    >>> same_value("inf", float("inf")), same_value(8, [8.0, 8.0]), same_value(8, 9)
    (True, True, False)
    """
    labels = value_label(one), value_label(other)
    try:
        return labels[0] == labels[1] or float(labels[0]) == float(labels[1])
    except ValueError:
        return False


def recorded_by(document: "Document", stage: str) -> list[str]:
    """List the quantities that a stage records over time, and the errors for its accuracies."""
    known = document.stages[stage].recorded()
    return [*known, *(error for error, accuracy in ERRORS.items() if accuracy in known)]


def history_path(path: str) -> tuple[str, str]:
    """Split a path into its stage and quantity.

    >>> history_path("stages.train.step")
    ('train', 'step')
    """
    _, stage, key = path.split(".", 2)
    return stage, key


def at_path(tree: Any, path: str) -> Any:
    """Find the value at a dotted path of a tree, or None. Keys may contain dots; numbers are
    indices of an array's entries, from 0.

    >>> at_path({"model": {"widths": [3]}}, "model.widths")
    [3]
    >>> at_path({"theorem-3.2": {"value": 0.1}}, "theorem-3.2.value")
    0.1
    >>> at_path({"model": {"layers": ["flatten", {"units": 4}]}}, "model.layers.1.units")
    4
    """
    if not path:
        return tree
    if isinstance(tree, list | tuple):
        step, _, rest = path.partition(".")
        place = index_of(tree, step)
        return None if place is None else at_path(tree[place], rest)
    for key in tree if isinstance(tree, dict) else ():
        if f"{path}.".startswith(f"{key}."):
            return at_path(tree[key], path[len(key) + 1 :])
    return None

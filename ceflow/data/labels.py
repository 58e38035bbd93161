"""From labels to targets, and the choice of classes."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ceflow.data.dataset import data_error

if TYPE_CHECKING:
    import numpy as np

    from ceflow.data.dataset import Examples


def class_numbers(classes: Sequence[str] | None, names: Sequence[str]) -> list[int]:
    """The labels of the chosen classes; all where none are named."""
    if classes is None:
        return list(range(len(names)))
    for name in classes:
        if name not in names:
            message, help = f"there is no class {name!r}", f"one of {', '.join(names)}"
            raise data_error("CE105", message, "classes", help)
    if len(set(classes)) < len(classes):
        raise data_error("CE105", "a class is named twice", "classes")
    return [names.index(name) for name in classes]


def target_size(targets: str, classes: int) -> int:
    """How many outputs the targets of so many classes have."""
    if targets == "signed" and classes != 2:
        message, help = (
            f"signed targets need two classes, not {classes}",
            'set classes = ["a", "b"]',
        )
        raise data_error("CE202", message, "targets", help)
    return classes if targets == "one-hot" else 1


def labelled(x: "np.ndarray", labels: "np.ndarray", numbers: list[int], targets: str) -> "Examples":
    """The examples of the classes `numbers`, in their order of appearance, with their targets."""
    import numpy as np

    from ceflow.data.dataset import Examples

    kept = np.isin(labels, numbers)
    ranks = np.array([numbers.index(label) for label in labels[kept]], dtype=int)
    if targets == "one-hot":
        y = np.eye(len(numbers))[ranks]
    elif targets == "signed":
        y = 2.0 * ranks[:, None] - 1
    else:
        y = ranks[:, None].astype(float)
    return Examples(x[kept].reshape(len(ranks), math.prod(x.shape[1:])).astype(float), y)

"""Data that cannot be trained on, and data about which there is something to say."""

from typing import Any

import numpy as np

from ceflow.bottlenecks.wide import WideNetwork


def checked(x: Any, y: Any, x_test: Any, initial: WideNetwork) -> None:
    """Raise `ValueError` for shapes that do not fit each other, and what is not finite."""
    parts = {"x": np.asarray(x), "y": np.asarray(y)}
    if x_test is not None:
        parts["x_test"] = np.asarray(x_test)
    for name, part in parts.items():
        if part.ndim != 2 or not part.size:
            raise ValueError(f"{name} is (examples, numbers), not of shape {part.shape}")
        if not np.isfinite(part).all():
            raise ValueError(f"{name} holds NaN or infinity; leave those examples out")
    x, y = parts["x"], parts["y"]
    if len(x) != len(y):
        raise ValueError(f"there are {len(x)} inputs and {len(y)} targets")
    if x_test is not None and parts["x_test"].shape[1] != x.shape[1]:
        raise ValueError(
            f"inputs have {x.shape[1]} numbers, and test inputs {parts['x_test'].shape[1]}"
        )
    if initial.decoder.v.shape[0] != y.shape[1]:
        raise ValueError(
            f"the initial network has {initial.decoder.v.shape[0]} outputs, and targets have"
            f" {y.shape[1]}"
        )


def remarks(x: Any, y: Any) -> list[str]:
    """A sentence for each thing about training data that a reader of the results should know.

    >>> remarks(np.array([[1.0], [0.0]]), np.ones((2, 1)))[0][:33]
    '1 of the training inputs is zero:'
    """
    x, y = np.asarray(x), np.asarray(y)
    found = []
    zeros = int((~x.any(axis=1)).sum())
    if zeros:
        found.append(
            f"{zeros} of the training inputs {'is' if zeros == 1 else 'are'} zero: without biases"
            " their outputs never move"
        )
    if len(x) == 1:
        found.append("there is one training example: all else that outputs do is extrapolation")
    pairs = _contradictions(x, y)
    if pairs:
        one, two = pairs[0]
        found.append(
            f"training inputs {one} and {two} are equal and their targets are not (pairs in all:"
            f" {len(pairs)}): the training loss cannot reach 0"
        )
    return found


def _contradictions(x: np.ndarray, y: np.ndarray) -> list[tuple[int, int]]:
    """Examples whose input was seen before, with another target."""
    seen: dict[bytes, int] = {}
    first = [seen.setdefault(row.tobytes(), index) for index, row in enumerate(x + 0.0)]
    return [(a, b) for b, a in enumerate(first) if a != b and (y[a] != y[b]).any()]

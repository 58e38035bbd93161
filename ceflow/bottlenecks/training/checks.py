"""Checks of training data, and remarks on unusual data."""

from typing import Any

import numpy as np

from ceflow import nets
from ceflow.bottlenecks.wide import WideNetwork


def checked(x: Any, y: Any, x_test: Any, initial: WideNetwork) -> None:
    """Raise `ValueError` if shapes do not match each other, or numbers are not finite."""
    given = {"x": x, "y": y} | ({} if x_test is None else {"x_test": x_test})
    parts = {name: np.asarray(nets.numbers(part)) for name, part in given.items()}
    for name, part in parts.items():
        of_inputs = name != "y" and len(initial.inputs) > 1
        if not part.size or (part.ndim != 2 and not of_inputs):
            raise ValueError(f"{name} must be (examples, numbers), not of shape {part.shape}")
        if of_inputs and part.shape[1:] != initial.inputs:
            wanted = ", ".join(map(str, initial.inputs))
            raise ValueError(f"{name} must be (examples, {wanted}), not of shape {part.shape}")
        if not np.isfinite(part).all():
            raise ValueError(f"{name} holds NaN or infinity; leave those examples out")
    x, y = parts["x"], parts["y"]
    if len(x) != len(y):
        raise ValueError(f"there are {len(x)} inputs and {len(y)} targets")
    if x_test is not None and parts["x_test"].shape[1] != x.shape[1]:
        raise ValueError(
            f"inputs have {x.shape[1]} numbers, and test inputs {parts['x_test'].shape[1]}"
        )
    outputs = initial.decoder.ends[1]
    if outputs != y.shape[1]:
        raise ValueError(
            f"the initial network has {outputs} outputs, and targets have {y.shape[1]}"
        )


def remarks(x: Any, y: Any) -> list[str]:
    """Return remarks, one sentence each, on training data that make results unusual.

    There are remarks on inputs that are zero, on equal inputs, and on a single example.

    >>> remarks(np.array([[1.0], [0.0]]), np.ones((2, 1)))[0][:33]
    '1 of the training inputs is zero:'
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim < 2 or len(x) != len(y):
        raise ValueError(f"inputs of shape {x.shape} do not go with targets of shape {y.shape}")
    rows = x.reshape(len(x), -1)
    return [*_of_zeros(rows), *_of_one(rows), *_of_equals(rows, y)]


def _of_zeros(x: np.ndarray) -> list[str]:
    zeros = int((~x.any(axis=1)).sum())
    verb = "is" if zeros == 1 else "are"
    said = f"{zeros} of the training inputs {verb} zero: without biases their outputs never move"
    return [said] if zeros else []


def _of_one(x: np.ndarray) -> list[str]:
    said = "there is one training example: all other outputs are extrapolation"
    return [said] if len(x) == 1 else []


def _of_equals(x: np.ndarray, y: np.ndarray) -> list[str]:
    """Remark on equal inputs; if some of them have different targets, only on those."""
    pairs = _equal_pairs(x)
    against = [(a, b) for a, b in pairs if (y[a] != y[b]).any()]
    if against:
        what = f"are equal and their targets are not (pairs in all: {len(against)})"
        return [_of_pair(against[0], f"{what}: the training loss cannot reach 0")]
    if pairs:
        what = f"are equal, and so are their targets (pairs in all: {len(pairs)})"
        return [_of_pair(pairs[0], f"{what}: such an example has the weight of two")]
    return []


def _of_pair(pair: tuple[int, int], what: str) -> str:
    return f"training inputs {pair[0]} and {pair[1]} {what}"


def _equal_pairs(x: np.ndarray) -> list[tuple[int, int]]:
    """List the pairs of an input and the first equal one before it."""
    first_at: dict[bytes, int] = {}
    first = [first_at.setdefault(row.tobytes(), index) for index, row in enumerate(x + 0.0)]
    return [(a, b) for b, a in enumerate(first) if a != b]

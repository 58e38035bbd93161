"""NumPy .npz archives of number arrays. Object arrays are pickles, and are refused."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ceflow.data.archives import Array, arrays, names_in, rows_of_array
from ceflow.data.checks import LARGEST_LABEL, Part, Survey, classes_of, extent_of
from ceflow.data.dataset import (
    Dataset,
    Examples,
    Extent,
    data_error,
    data_fault,
    rows_of,
    targets_of,
)
from ceflow.data.files import find, remembered
from ceflow.data.npy import Header, first_not_finite, first_rounded, numbers_in
from ceflow.seeding import Seed
from ceflow.spec import Fault, Npz

if TYPE_CHECKING:
    import numpy as np

TRAIN_ARRAYS, TEST_ARRAYS = ("x", "y"), ("x_test", "y_test")
"""Array names of the training part and of the test part."""


def extent(spec: Npz, folder: Path) -> Extent:
    return extent_of(spec, _survey(spec, find(spec, folder)))


def load(spec: Npz, folder: Path, seed: Seed) -> Dataset:
    size, path = extent(spec, folder), find(spec, folder)
    parts = ((TRAIN_ARRAYS, size.train), (TEST_ARRAYS, size.test))
    return Dataset(*(_examples(spec, path, names, count, size) for names, count in parts))


def _examples(spec: Npz, path: Path, names: tuple[str, str], count: int, size: Extent) -> Examples:
    import numpy as np

    if not count:
        return Examples(np.zeros((0, size.inputs)), np.zeros((0, size.outputs)))
    x, y = (arrays(path, names)[name] for name in names)
    if spec.targets == "raw":
        return Examples(_numbers(x, count), _numbers(y, count))
    numbers = classes_of(spec, _survey(spec, path))
    _, ranks = rows_of(_numbers(y, count)[:, 0], numbers, count)
    return Examples(_numbers(x, count), targets_of(ranks, len(numbers), spec.targets))


FindFirst = Callable[[bytes, Header], int | None]
"""A function that returns the index of the first number of some kind in a block, or None."""

UNFIT_NUMBERS: tuple[tuple[FindFirst, str, str], ...] = (
    (first_not_finite, "a number that is not finite", "leave out such examples, or fill them in"),
    (
        first_rounded,
        "a whole number beyond 2^53, which would be rounded",
        "subtract a common offset, or save them as floats if rounding is acceptable",
    ),
)
"""Numbers that examples must not hold: how to find them, their description, and the help."""


def _numbers(array: Array, count: int) -> "np.ndarray":
    """Read the first `count` examples as float64, one row per example."""
    import numpy as np

    header, at = array.header, 0
    shape, order = (count, *header.shape[1:]), "F" if header.fortran else "C"
    content = bytearray(header.itemsize * math.prod(shape))
    for block in rows_of_array(array, count):
        content[at : at + len(block)] = block
        at += len(block)
    numbers = np.frombuffer(content, header.type).reshape(shape, order=order)
    return numbers.reshape(count, -1).astype(float, copy=False)


def _survey(spec: Npz, path: Path) -> Survey:
    train = _part(spec, path, TRAIN_ARRAYS)
    test = None if spec.test == 0 else _part(spec, path, TEST_ARRAYS)
    if train is None:
        raise _missing(path, "x")
    return Survey(str(path), train, test)


def _part(spec: Npz, path: Path, names: tuple[str, str]) -> Part | None:
    given = arrays(path, names)
    for name in names:
        if given and name not in given:
            raise _missing(path, name)
        if given and not given[name].header.shape:
            raise data_error("CE302", f"{name} of {path} has no rows: it is a single number")
    if not given:
        return None
    x, y = (given[name] for name in names)
    shapes, labelled = (x.header.shape, y.header.shape), spec.targets != "raw"
    counts = partial(_label_counts, path, names) if labelled else None
    return Part(*names, *shapes, counts, partial(_faults, path, [x] if labelled else [x, y]))


def _missing(path: Path, name: str) -> Exception:
    there = ", ".join(names_in(path)[:10])
    help = "arrays are called x, y, x_test, y_test" + (f"; it has {there}" if there else "")
    return data_error("CE302", f"{path} has no array {name!r}", help=help)


@remembered
def _label_counts(path: Path, names: tuple[str, str]) -> Counter[int]:
    """Count the examples of each label; labels are integers of any type, or whole floats."""
    name, array = names[1], arrays(path, names)[names[1]]
    counts: Counter[float] = Counter()
    for block in rows_of_array(array, array.header.shape[0]):
        counts.update(numbers_in(block, array.header))
        if len(counts) > 2 * LARGEST_LABEL:
            break  # too many to be classes: `_labels_are_labels` reports the largest
    for number in counts:
        if not math.isfinite(number) or number % 1:
            message = f"{name} of {path} must hold one integer label per example, not {number}"
            raise data_error("CE302", message, "targets", 'use targets = "raw"')
    return Counter({int(number): count for number, count in counts.items()})


def _faults(path: Path, given: list[Array], count: int) -> Iterator[Fault]:
    """Yield a fault for each array whose first `count` rows hold an unfit number."""
    for array in given:
        name = array.member.removesuffix(".npy")
        for first, what, help in UNFIT_NUMBERS:
            if (row := _row_with(path, array, count, first)) is not None:
                yield data_fault("CE302", f"{name}[{row}] of {path} holds {what}", help=help)


@remembered
def _row_with(path: Path, array: Array, count: int, first: FindFirst) -> int | None:
    """Return the first row with a number that `first` finds, or None."""
    read = 0
    header, rest = array.header, math.prod(array.header.shape[1:])
    for block in rows_of_array(array, count):
        if (at := first(block, header)) is not None:
            return (read + at) % count if header.fortran else (read + at) // rest
        read += len(block) // header.itemsize
    return None

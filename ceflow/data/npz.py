"""NumPy .npz archives of number arrays. Object arrays are pickles, and are refused."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from ceflow.data.archives import (
    Array,
    arrays,
    label_counts,
    labels_in,
    names_in,
    rows_of_array,
    stored,
)
from ceflow.data.checks import Part, Survey
from ceflow.data.dataset import data_error, data_fault
from ceflow.data.files import find, remembered
from ceflow.data.npy import Header, first_not_finite, first_rounded
from ceflow.data.stored import Contents
from ceflow.spec import Fault, Npz

TRAIN_ARRAYS, TEST_ARRAYS = ("x", "y"), ("x_test", "y_test")
"""Array names of the training part and of the test part."""


def survey(spec: Npz, folder: Path) -> Survey:
    path = find(spec, folder)
    train = _part(spec, path, TRAIN_ARRAYS)
    test = None if spec.test == 0 else _part(spec, path, TEST_ARRAYS)
    if train is None:
        raise _missing(path, "x")
    return Survey(str(path), train, test, files=[path])


def opened(spec: Npz, folder: Path, part: str) -> Contents:
    path, names = find(spec, folder), TRAIN_ARRAYS if part == "train" else TEST_ARRAYS
    x, y = (stored(arrays(path, names)[name]) for name in names)
    if spec.targets == "raw":
        return Contents(x, y=y)
    rows = arrays(path, names)[names[1]].header.shape[0]
    return Contents(x, lambda: labels_in(y, rows))


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
    return label_counts(arrays(path, names)[names[1]])


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

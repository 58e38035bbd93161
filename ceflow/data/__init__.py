"""Data sources: `extent` measures a data set without loading NumPy, `load` reads it.

Each source has its own module: `digits`, `idx`, `cifar10`, `npz` and `generated`. They return the
classes of `dataset`, after the checks in `checks`; `preparing` makes the inputs of them that a
network sees, with `normalising` and `whitening`. `files`, `archives` and `npy` open and read files.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from ceflow.costs import Demand, Work
from ceflow.data import cifar10, digits, generated, idx, npz
from ceflow.data.dataset import Dataset, Examples, Extent, channels_last, channels_last_fault
from ceflow.data.generated import deep_gaussian_process
from ceflow.data.preparing import ROW_COPIES, preparation_faults, prepare
from ceflow.data.whitening import whitening_cost
from ceflow.seeding import Seed
from ceflow.spec import Cifar10, Circle, Data, DeepGp, Digits, Gaussian, Idx, Npz, SpecError

__all__ = [
    "READERS",
    "DataCost",
    "Dataset",
    "Examples",
    "Extent",
    "Reader",
    "anchored",
    "channels_last",
    "channels_last_fault",
    "cost_of",
    "deep_gaussian_process",
    "extent",
    "load",
]


class Reader(NamedTuple):
    """Functions that measure a source, read it, and forecast what drawing n rows costs besides."""

    extent: Callable[[Any, Path], Extent]
    load: Callable[[Any, Path, Seed], Dataset]
    drawing: Callable[[Any, int], Demand] = lambda spec, rows: Demand()


READERS: dict[type, Reader] = {
    Digits: Reader(digits.extent, digits.load),
    Idx: Reader(idx.extent, idx.load),
    Cifar10: Reader(cifar10.extent, cifar10.load),
    Npz: Reader(npz.extent, npz.load),
    Gaussian: Reader(generated.drawn_extent, generated.gaussian),
    DeepGp: Reader(generated.drawn_extent, generated.deep_gp, generated.deep_gp_cost),
    Circle: Reader(generated.circle_extent, generated.circle),
}


def reader_of(spec: Data) -> Reader:
    """Return the reader of a source's kind."""
    return READERS.get(type(spec)) or spec.reader()


def extent(spec: Data, folder: Path) -> Extent:
    """Measure a data set, mirror images included, and check its files completely.

    This is the only place that opens data files before a run. It keeps no array in memory and does
    not load NumPy. Raises `SpecError` for a bad file.
    """
    size = reader_of(spec).extent(spec, folder)
    size = replace(size, train=size.train * spec.copies)
    if faults := list(preparation_faults(spec, size)):
        raise SpecError(*faults)
    return size


def anchored(spec: Data, folder: Path) -> Data:
    """Make the path of a source absolute if it exists relative to the document's folder."""
    path = getattr(spec, "path", None)
    if path is None or not os.path.exists(folder / path):
        return spec
    return spec.replaced({"path": str((folder / path).resolve())})


def load(spec: Data, folder: Path, seed: Seed) -> Dataset:
    """Read a data set and prepare its inputs.

    Raises `SpecError` for a bad file, and for inputs that cannot be whitened or overflow.

    >>> from pathlib import Path
    >>> from ceflow.spec import Gaussian
    >>> load(Gaussian(inputs=3, train=5), Path(), Seed(0)).train.x.shape
    (5, 3)
    """
    return prepare(reader_of(spec).load(spec, folder, seed), spec, extent(spec, folder))


class DataCost(NamedTuple):
    """Bytes of memory, `loading` while a data set is read and prepared, and `held` while it is
    used; and the work of drawing and of whitening it. `instead` says what would save most of
    `loading`, other than fewer examples; '' if nothing does.
    """

    loading: float
    held: float
    work: Work
    instead: str = ""


def cost_of(spec: Data, size: Extent) -> DataCost:
    """Forecast what a data set costs, as float64.

    >>> cost_of(Gaussian(inputs=9, train=100), Extent(9, 1, 100, 0)).held
    8000.0
    """
    rows = size.train + size.test
    held = 8.0 * rows * (size.inputs + size.outputs)
    drawing = reader_of(spec).drawing(spec, rows)
    whitening = Demand() if spec.whitening is None else whitening_cost(size)
    reading = (ROW_COPIES[spec.normalise] + (spec.copies - 1) / 2) * held + drawing.memory
    instead = "leave data.zca out" if whitening.memory > reading else ""
    work = drawing.work.plus(whitening.work)
    return DataCost(max(reading, whitening.memory), held, work, instead)

"""Data sources: `extent` measures a data set without loading NumPy, `load` reads it, and `stream`
gives its examples on demand, so that a data set may be larger than the memory.

Each family of sources has its own module: `digits`, `idx` (EMNIST too), `cifar`, `imagenet`,
`images`, `npz`, `tables` and `generated`. Those with classes describe their examples for the checks
in `checks`, and say where they are `stored`; `load` and `streaming` read those that are needed.
`preparing` makes the inputs that a network sees, with `normalising` and `whitening`, and `dataset`
has the classes of what is in memory. `files`, `archives` and `npy` open and read files, and
`separated` small CSV files that people write.
"""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from ceflow.costs import Demand, Work
from ceflow.data import cifar, digits, generated, idx, imagenet, images, npz, tables
from ceflow.data.checks import Survey, classes_of, extent_of
from ceflow.data.checks import class_names as names_of
from ceflow.data.dataset import Dataset, Examples, Extent, channels_last, channels_last_fault
from ceflow.data.generated import deep_gaussian_process
from ceflow.data.preparing import ROW_COPIES, preparation_faults, prepare
from ceflow.data.stored import Contents
from ceflow.data.streaming import (
    BLOCK_EXAMPLES,
    Stream,
    Streams,
    choices_of,
    dataset_of,
    file_streams,
    held_streams,
)
from ceflow.data.whitening import whitening_cost
from ceflow.seeding import Seed
from ceflow.spec import (
    Cifar10,
    Cifar100,
    Circle,
    Data,
    DataTable,
    DeepGp,
    Digits,
    Emnist,
    Gaussian,
    Idx,
    ImageFiles,
    Imagenet32,
    Imagenet64,
    Labelled,
    Npz,
    SpecError,
)

__all__ = [
    "READERS",
    "DataCost",
    "Dataset",
    "Examples",
    "Extent",
    "Reader",
    "Stream",
    "Streams",
    "anchored",
    "channels_last",
    "channels_last_fault",
    "class_names",
    "cost_of",
    "deep_gaussian_process",
    "extent",
    "is_stored",
    "load",
    "stream",
]


INDEX_BYTES = 60
"""Bytes for each streamed example: its index and class, and its share of what checks remember."""

STREAMED_PASSES = 4
"""Passes over the numbers of an example, as float64, when it is read and prepared."""


class Reader(NamedTuple):
    """Functions that measure a source, read it, and forecast what drawing n rows costs besides."""

    extent: Callable[[Any, Path], Extent]
    load: Callable[[Any, Path, Seed], Dataset]
    drawing: Callable[[Any, int], Demand] = lambda spec, rows: Demand()
    survey: Callable[[Any, Path], Survey] | None = None
    """Describes the examples of a source whose examples are stored."""
    opened: Callable[[Any, Path, str], Contents] | None = None
    """Opens the part `train` or `test` of such a source."""

    @classmethod
    def stored(
        cls,
        survey: Callable[[Any, Path], Survey],
        opened: Callable[[Any, Path, str], Contents],
    ) -> Self:
        """Return the reader of a source of stored examples, which can be streamed too."""

        def extent(spec: Any, folder: Path) -> Extent:
            return extent_of(spec, survey(spec, folder))

        def load(spec: Any, folder: Path, seed: Seed) -> Dataset:
            described = survey(spec, folder)
            size = extent_of(spec, described)
            classes = len(classes_of(spec, described)) if described.train.labels else 0
            choices = choices_of(
                spec, described, size, lambda part: opened(spec, folder, part), seed
            )
            return dataset_of(choices, classes, spec.targets)

        return cls(extent, load, survey=survey, opened=opened)


READERS: dict[type, Reader] = {
    Digits: Reader.stored(digits.survey, digits.opened),
    Idx: Reader.stored(idx.survey, idx.opened),
    Emnist: Reader.stored(idx.survey, idx.opened),
    Cifar10: Reader.stored(cifar.survey, cifar.opened),
    Cifar100: Reader.stored(cifar.survey, cifar.opened),
    Imagenet32: Reader.stored(imagenet.survey, imagenet.opened),
    Imagenet64: Reader.stored(imagenet.survey, imagenet.opened),
    ImageFiles: Reader.stored(images.survey, images.opened),
    Npz: Reader.stored(npz.survey, npz.opened),
    DataTable: Reader.stored(tables.survey, tables.opened),
    Gaussian: Reader(generated.drawn_extent, generated.gaussian),
    DeepGp: Reader(generated.drawn_extent, generated.deep_gp, generated.deep_gp_cost),
    Circle: Reader(generated.circle_extent, generated.circle),
}


def reader_of(spec: Data) -> Reader:
    """Return the reader of a source's kind."""
    return READERS.get(type(spec)) or spec.reader()


def is_stored(spec: Data) -> bool:
    """Tell whether a source's examples are in files or in a package, from which they can be read as
    they are needed.
    """
    return reader_of(spec).opened is not None


def extent(spec: Data, folder: Path, held: bool = True) -> Extent:
    """Measure a data set, mirror images included, and check its files completely.

    This is the only place that opens data files before a run. It keeps no array in memory and does
    not load NumPy. If `held` is False, the examples will be streamed, and need not fit into memory.
    Raises `SpecError` for a bad file.
    """
    reader = reader_of(spec)
    if reader.survey and not held:
        size = extent_of(Labelled.expect(spec), reader.survey(spec, folder), held=False)
    else:
        size = reader.extent(spec, folder)
    size = replace(size, train=size.train * spec.copies)
    if faults := list(preparation_faults(spec, size)):
        raise SpecError(*faults)
    return size


def anchored(spec: Data, folder: Path) -> Data:
    """Make the paths of a source absolute if they exist relative to the document's folder."""
    paths = {key: getattr(spec, key, None) for key in spec.path_keys}
    there = {
        key: str((folder / path).resolve())
        for key, path in paths.items()
        if path is not None and os.path.exists(folder / path)
    }
    return spec.replaced(there) if there else spec


def load(spec: Data, folder: Path, seed: Seed) -> Dataset:
    """Read a data set and prepare its inputs.

    Raises `SpecError` for a bad file, and for inputs that cannot be whitened or overflow.

    >>> from pathlib import Path
    >>> from ceflow.spec import Gaussian
    >>> load(Gaussian(inputs=3, train=5), Path(), Seed(0)).train.x.shape
    (5, 3)
    """
    return prepare(reader_of(spec).load(spec, folder, seed), spec, extent(spec, folder))


def stream(spec: Data, folder: Path, seed: Seed, dtype: Any = float) -> Streams:
    """Return the examples of a data set on demand: the same as those of `load`.

    Examples of files stay there, so the memory does not grow with the images or numbers of a data
    set. What is packed or is text is first unpacked to a temporary file, in the folder that TMPDIR
    names. `normalise = "standard"` and `zca` read all training examples, three and two times.
    Examples that are generated are held. Raises `SpecError` as `load` does.

    >>> from pathlib import Path
    >>> import numpy as np
    >>> from ceflow.spec import Digits
    >>> train, test, size = stream(Digits(train=1000), Path(), Seed(0))
    >>> order = np.random.default_rng(0).permutation(len(train))
    >>> [len(block.x) for block in train.blocks(order, 400)]
    [400, 400, 200]
    """
    reader, size = reader_of(spec), extent(spec, folder, held=False)
    if reader.survey is None or reader.opened is None:
        return held_streams(load(spec, folder, seed), size, dtype)
    survey, opened = reader.survey(spec, folder), reader.opened
    labelled, own = Labelled.expect(spec), replace(size, train=size.train // spec.copies)
    choices = choices_of(labelled, survey, own, lambda part: opened(spec, folder, part), seed)
    classes = len(classes_of(labelled, survey)) if survey.train.labels else 0
    return file_streams(labelled, choices, classes, size, dtype)


def class_names(spec: Data, folder: Path) -> list[str]:
    """Return the names of the classes of a source, in the order of the outputs; none if it has no
    classes.

    >>> from pathlib import Path
    >>> from ceflow.spec import Digits
    >>> class_names(Digits(classes=["7", "1"]), Path())
    ['7', '1']
    """
    reader = reader_of(spec)
    if reader.survey is None or not spec.has_classes:
        return []
    return names_of(Labelled.expect(spec), reader.survey(spec, folder))


class DataCost(NamedTuple):
    """Bytes of memory, `loading` while a data set is read and prepared, and `held` while it is
    used; and the work of drawing and of whitening it. `instead` says what would save most of
    `loading`, other than fewer examples; '' if nothing does.
    """

    loading: float
    held: float
    work: Work
    instead: str = ""


def cost_of(spec: Data, size: Extent, held: bool = True) -> DataCost:
    """Forecast what a data set costs, as float64; if `held` is False, what streaming it costs.

    >>> cost_of(Gaussian(inputs=9, train=100), Extent(9, 1, 100, 0)).held
    8000.0
    """
    rows = size.train + size.test
    bytes = 8.0 * rows * (size.inputs + size.outputs)
    if not held:
        return _cost_of_streams(spec, size)
    drawing = reader_of(spec).drawing(spec, rows)
    whitening = Demand() if spec.whitening is None else whitening_cost(size)
    reading = (ROW_COPIES[spec.normalise] + (spec.copies - 1) / 2) * bytes + drawing.memory
    instead = "leave data.zca out" if whitening.memory > reading else ""
    work = drawing.work.plus(whitening.work)
    return DataCost(max(reading, whitening.memory), bytes, work, instead)


def _cost_of_streams(spec: Data, size: Extent) -> DataCost:
    """Forecast what the examples on demand cost: the index of each, and the blocks from which a
    preparation is learnt.
    """
    index = INDEX_BYTES * float(size.train + size.test)
    block = 8.0 * BLOCK_EXAMPLES * (size.inputs + size.outputs)
    whitening = Demand()
    if spec.whitening is not None:
        fewest = replace(size, train=max(BLOCK_EXAMPLES, size.inputs), test=0)
        whitening = whitening_cost(fewest)
    passes = 3 * (spec.normalise == "standard") + 2 * (spec.whitening is not None)
    traffic = passes * STREAMED_PASSES * 8.0 * size.train * size.inputs
    loading = ROW_COPIES[spec.normalise] * block + whitening.memory + index
    return DataCost(loading, index, whitening.work.plus(Work(traffic=traffic)))

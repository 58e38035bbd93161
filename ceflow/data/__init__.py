"""Data sources: `extent` measures a data set without loading NumPy, `load` reads it.

Each source has its own module: `digits`, `idx`, `cifar10`, `npz` and `generated`. They return the
classes of `dataset`, after the checks in `checks`; `normalising` scales the inputs. `files`,
`archives` and `npy` open and read files.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ceflow.costs import Demand, Work
from ceflow.data import cifar10, digits, generated, idx, normalising, npz
from ceflow.data.dataset import Dataset, Examples, Extent, data_error
from ceflow.data.generated import deep_gaussian_process
from ceflow.seeding import Seed
from ceflow.spec import Cifar10, Circle, Data, DeepGp, Digits, Gaussian, Idx, Npz

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "READERS",
    "DataCost",
    "Dataset",
    "Examples",
    "Extent",
    "Reader",
    "anchored",
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


def extent(spec: Data, folder: Path) -> Extent:
    """Measure a data set and check it completely, so that reading it later cannot fail.

    This is the only place that opens data files before a run. It keeps no array in memory and does
    not load NumPy. Raises `SpecError` for a bad file.
    """
    return READERS[type(spec)].extent(spec, folder)


def anchored(spec: Data, folder: Path) -> Data:
    """Make the path of a source absolute if it exists relative to the document's folder."""
    path = getattr(spec, "path", None)
    if path is None or not os.path.exists(folder / path):
        return spec
    return spec.replaced({"path": str((folder / path).resolve())})


def load(spec: Data, folder: Path, seed: Seed) -> Dataset:
    """Read a data set and prepare its inputs. Raises `SpecError` for a bad file.

    >>> from pathlib import Path
    >>> from ceflow.spec import Gaussian
    >>> load(Gaussian(inputs=3, train=5), Path(), Seed(0)).train.x.shape
    (5, 3)
    """
    dataset = READERS[type(spec)].load(spec, folder, seed)
    x, test = dataset.train.x, dataset.test.x
    if spec.normalise == "unit":
        x, test = normalising.unit(x), normalising.unit(test)
    elif spec.normalise == "standard":
        x, test = normalising.standard(x, x), normalising.standard(test, x)
    x, test = _scaled(x, spec), _scaled(test, spec)
    return Dataset(Examples(x, dataset.train.y), Examples(test, dataset.test.y))


class DataCost(NamedTuple):
    """Bytes of memory, `loading` while a data set is read and prepared, and `held` while it is
    used; and the work of drawing it.
    """

    loading: float
    held: float
    work: Work


def cost_of(spec: Data, size: Extent) -> DataCost:
    """Forecast what a data set costs, as float64.

    >>> cost_of(Gaussian(inputs=9, train=100), Extent(9, 1, 100, 0)).held
    8000.0
    """
    rows = size.train + size.test
    held = 8.0 * rows * (size.inputs + size.outputs)
    copies = {"none": 2, "unit": 3, "standard": 4}[spec.normalise]
    drawing = READERS[type(spec)].drawing(spec, rows)
    return DataCost(copies * held + drawing.memory, held, drawing.work)


def _scaled(x: "np.ndarray", spec: Data) -> "np.ndarray":
    import numpy as np

    with np.errstate(over="ignore"):
        x = x if spec.scale == 1 else spec.scale * x
    if not np.isfinite(x).all():
        raise data_error("CE302", "the inputs are too large for float64", "scale", "lower scale")
    return x

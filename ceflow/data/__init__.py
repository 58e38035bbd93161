"""Data sources, one file each: `extent` counts without loading NumPy, `load` reads."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ceflow.data import cifar10, deep_gp, digits, generated, idx, npz
from ceflow.data.dataset import Dataset, Examples, Extent
from ceflow.data.deep_gp import deep_gaussian_process
from ceflow.seeding import Seed
from ceflow.spec import Cifar10, Circle, Data, DeepGp, Digits, Gaussian, Idx, Npz

if TYPE_CHECKING:
    import numpy as np

__all__ = [
    "READERS",
    "Dataset",
    "Examples",
    "Extent",
    "Reader",
    "anchored",
    "deep_gaussian_process",
    "extent",
    "load",
]


class Reader(NamedTuple):
    """How a source is measured and read."""

    extent: Callable[[Any, Path], Extent]
    load: Callable[[Any, Path, Seed], Dataset]


READERS: dict[type, Reader] = {
    Digits: Reader(digits.extent, digits.load),
    Idx: Reader(idx.extent, idx.load),
    Cifar10: Reader(cifar10.extent, cifar10.load),
    Npz: Reader(npz.extent, npz.load),
    Gaussian: Reader(generated.gaussian_extent, generated.gaussian),
    DeepGp: Reader(deep_gp.extent, deep_gp.load),
    Circle: Reader(generated.circle_extent, generated.circle),
}


def extent(spec: Data, folder: Path) -> Extent:
    """Sizes of a data set, from headers and counts alone. Raises `SpecError` for a bad file."""
    return READERS[type(spec)].extent(spec, folder)


def anchored(spec: Data, folder: Path) -> Data:
    """The same source with its path absolute, where it was relative to the document's folder."""
    path = getattr(spec, "path", None)
    if path is None or not os.path.exists(folder / path):
        return spec
    return spec.model_copy(update={"path": str((folder / path).resolve())})


def load(spec: Data, folder: Path, seed: Seed) -> Dataset:
    """Read a data set and prepare its inputs. Raises `SpecError` for a bad file.

    >>> from pathlib import Path
    >>> from ceflow.spec import Gaussian
    >>> load(Gaussian(inputs=3, train=5), Path(), Seed(0)).train.x.shape
    (5, 3)
    """
    dataset = READERS[type(spec)].load(spec, folder, seed)
    if isinstance(spec, Circle):
        return dataset
    prepare = _normaliser(spec.normalise, dataset.train.x)
    train, test = (
        Examples(spec.scale * prepare(part.x), part.y) for part in (dataset.train, dataset.test)
    )
    return Dataset(train, test)


def _normaliser(how: str, train: "np.ndarray") -> "Callable[[np.ndarray], np.ndarray]":
    import numpy as np

    def divide(x: np.ndarray, by: np.ndarray) -> np.ndarray:
        return x / np.where(by == 0, 1, by)  # a constant coordinate or a zero input stays zero

    if how == "unit":
        return lambda x: divide(x, np.linalg.norm(x, axis=1, keepdims=True))
    if how == "standard":
        mean, deviation = train.mean(axis=0), train.std(axis=0)
        return lambda x: divide(x - mean, deviation)
    return lambda x: x

"""Data sets in memory, and the conversion of labels to targets."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ceflow.spec import Fault, SpecError
from ceflow.spec.base import KeyPath

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int
    from numpy import ndarray

    from ceflow.data.normalising import Standardiser


@dataclass(frozen=True)
class Extent:
    """Numbers of inputs, outputs, and training and test examples of a data set."""

    inputs: int
    outputs: int
    train: int
    """Number of training examples, mirror images included."""
    test: int
    image: tuple[int, int, int] | None = None
    """Channels, height and width, if the inputs are images."""
    left_out: int = 0
    """Number of files that cannot be read, and are left out as the document says."""


@dataclass(frozen=True)
class Examples:
    """Inputs and targets in float64, one row per example; sources return inputs as vectors."""

    x: "Float[ndarray, 'examples ...']"
    y: "Float[ndarray, 'examples outputs']"


@dataclass(frozen=True)
class Dataset:
    """Training and test examples, and how their inputs were prepared."""

    train: Examples
    test: Examples
    unit: float = 1.0
    """What the stored numbers were divided by first, such as 255."""
    standardiser: "Standardiser | None" = None
    """The means and deviations by which the inputs were standardised, if they were."""


def data_fault(code: str, message: str, key: str = "path", help: str = "") -> Fault:
    """Create a fault at a key of the document's [data] table."""
    return Fault(code, message, ("data", key), help=help)


def data_error(code: str, message: str, key: str = "path", help: str = "") -> SpecError:
    """Create a `SpecError` with one fault at a key of the document's [data] table."""
    return SpecError(data_fault(code, message, key, help))


def channels_last(image: tuple[int, int, int]) -> bool:
    """Tell whether the shape of an image looks like height, width, channels.

    It does if it ends in 3, or in 1 or 4 after a square.
    """
    first, second, last = image
    return min(first, second) > 4 and (last == 3 or (last in (1, 4) and first == second > 8))


def channels_last_fault(image: tuple[int, int, int], path: KeyPath = ("data",)) -> Fault:
    """Create the fault of data whose images have their channels last."""
    shape = " x ".join(map(str, image))
    message = f"the images of the data are {shape}, and channels come first here"
    help = "save x, and x_test where there is one, as x.transpose(0, 3, 1, 2)"
    return Fault("CE204", message, path, "key", help)


def rows_of(
    labels: "np.ndarray", numbers: Sequence[int], count: int | None
) -> "tuple[Int[np.ndarray, ' n'], Int[np.ndarray, ' n']]":
    """Find the first `count` examples whose label is in `numbers`, or all of them.

    Returns their indices, and for each the index of its label in `numbers`.
    """
    import numpy as np

    known = np.asarray(numbers, np.int64)
    order = np.argsort(known)
    places = np.searchsorted(known[order], labels).clip(max=len(known) - 1)
    rows = np.flatnonzero(known[order][places] == labels)[:count]
    return rows, order[places[rows]]


def targets_of(
    ranks: "Int[np.ndarray, ' n']", classes: int, targets: str
) -> "Float[np.ndarray, 'n outputs']":
    """Convert class indices to targets, one row per example: `one-hot`, `signed` or `raw`.

    >>> import numpy as np
    >>> targets_of(np.array([2, 0]), 3, "one-hot")
    array([[0., 0., 1.],
           [1., 0., 0.]])
    """
    import numpy as np

    if targets == "one-hot":
        y = np.zeros((len(ranks), classes))
        y[np.arange(len(ranks)), ranks] = 1
        return y
    return 2.0 * ranks[:, None] - 1 if targets == "signed" else ranks[:, None].astype(float)

"""Preparation of a data set's inputs: mirror images, normalisation, whitening and scale."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ceflow.data import normalising
from ceflow.data.dataset import (
    Dataset,
    Examples,
    Extent,
    channels_last,
    channels_last_fault,
    data_error,
    data_fault,
)
from ceflow.data.whitening import ADVICE, whiten, whitener
from ceflow.spec import Data, Fault

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from ceflow.data.normalising import Blocks

ROW_COPIES = {"none": 2, "unit": 3, "contrast": 4, "standard": 4}
"""Copies of all examples in memory while they are read and normalised."""


def prepare(dataset: Dataset, spec: Data, size: Extent) -> Dataset:
    """Prepare the inputs: first the mirror images, then `normalise`, `zca` and `scale`.

    Means, deviations and second moments are those of the training examples, mirror images
    included. Raises `SpecError` if the inputs cannot be whitened, or overflow.
    """
    import numpy as np

    train, test = dataset.train, dataset.test.x
    x, y, standardiser = train.x, train.y, None
    if spec.copies > 1:
        assert size.image
        x, y = np.concatenate([x, mirrored(x, size.image)]), np.concatenate([y, y])
    if spec.normalise == "unit":
        x, test = normalising.unit(x), normalising.unit(test)
    elif spec.normalise == "contrast":
        x, test = normalising.contrast(x), normalising.contrast(test)
    elif spec.normalise == "standard":
        standardiser = normalising.standardiser(lambda: [x])
        x, test = standardiser(x), standardiser(test)
    if spec.whitening is not None:
        x, test = whiten(x, test, spec.whitening)
    x, test = _scaled(x, spec.scale), _scaled(test, spec.scale)
    return Dataset(Examples(x, y), Examples(test, dataset.test.y), dataset.unit, standardiser)


@dataclass(frozen=True, eq=False)
class Learnt:
    """A function that does to rows what `prepare` does, and has learnt all it must."""

    steps: "Sequence[Callable[[np.ndarray], np.ndarray]]"
    scale: float
    standardiser: normalising.Standardiser | None

    def __call__(self, x: "np.ndarray") -> "np.ndarray":
        for step in self.steps:
            x = step(x)
        return _scaled(x, self.scale)


def learnt(spec: Data, blocks: "Blocks") -> Learnt:
    """Learn what `prepare` does to rows.

    `blocks()` reads the training rows in blocks, mirror images included. Raises `SpecError` as
    `prepare` does.
    """
    steps: list[Callable[[np.ndarray], np.ndarray]] = []
    normalise = {"unit": normalising.unit, "contrast": normalising.contrast}.get(spec.normalise)
    standardiser = normalising.standardiser(blocks) if spec.normalise == "standard" else None
    normalise = standardiser or normalise
    if normalise:
        steps.append(normalise)
    if spec.whitening is not None:
        matrix = whitener(
            lambda: (normalise(b) if normalise else b for b in blocks()), spec.whitening
        )
        steps.append(lambda x: x @ matrix.astype(x.dtype))
    return Learnt(steps, spec.scale, standardiser)


def mirrored(
    x: "Float[np.ndarray, 'n inputs']", image: tuple[int, int, int]
) -> "Float[np.ndarray, 'n inputs']":
    """Return the mirror image of each row, left to right; `image` is channels, height and width.

    >>> import numpy as np
    >>> mirrored(np.array([[1, 2, 3, 4, 5, 6]]), (1, 2, 3))
    array([[3, 2, 1, 6, 5, 4]])
    """
    return x.reshape(len(x), *image)[..., ::-1].reshape(len(x), -1)


def preparation_faults(spec: Data, size: Extent) -> Iterator[Fault]:
    """Find why the inputs of a source of this size, mirror images included, cannot be prepared."""
    if spec.copies > 1 and size.image is None:
        message = f"flips needs images, and an example is a row of {size.inputs} numbers"
        help = "save x with the axes examples, channels, height and width, or leave flips out"
        yield data_fault("CE202", message, "flips", help)
    if spec.copies > 1 and size.image and channels_last(size.image):
        yield channels_last_fault(size.image, ("data", "flips"))
    if spec.whitening == 0 and size.train < size.inputs:
        message = f"{size.train} training examples are too few to whiten {size.inputs} inputs"
        yield data_fault("CE202", f"{message} with zca = 0", "zca", ADVICE)


def _scaled(x: "np.ndarray", scale: float) -> "np.ndarray":
    import numpy as np

    with np.errstate(over="ignore"):
        x = x if scale == 1 else scale * x
    if not np.isfinite(x).all():
        raise data_error("CE302", "the inputs are too large for float64", "scale", "lower scale")
    return x

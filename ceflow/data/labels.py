"""From labels to targets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float, Int


def rows_of(
    labels: "np.ndarray", numbers: Sequence[int], count: int
) -> "tuple[Int[np.ndarray, ' n'], Int[np.ndarray, ' n']]":
    """Find the first `count` examples whose label is one of `numbers`, and which of them it is."""
    import numpy as np

    known = np.asarray(numbers, np.int64)
    order = np.argsort(known)
    places = np.searchsorted(known[order], labels).clip(max=len(known) - 1)
    rows = np.flatnonzero(known[order][places] == labels)[:count]
    return rows, order[places[rows]]


def targets_of(
    ranks: "Int[np.ndarray, ' n']", classes: int, targets: str
) -> "Float[np.ndarray, 'n outputs']":
    """Make the targets of examples of so many classes: `one-hot`, `signed`, or `raw` numbers.

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

"""Normalisation of rows to norm 1, with or without their mean, and of columns to mean 0 and
variance 1; without overflow.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Bool, Float, Int

    Blocks = Callable[[], Iterable[Float[np.ndarray, "_ d"]]]


def unit(x: "Float[np.ndarray, 'n d']") -> "Float[np.ndarray, 'n d']":
    """Divide each row by its norm; a row of zeros stays zero.

    Rows are first scaled by a power of two, which is exact, so that no square over- or underflows.

    >>> import numpy as np
    >>> unit(np.array([[3e200, 4e200], [0.0, 0.0]]))
    array([[0.6, 0.8],
           [0. , 0. ]])
    """
    import numpy as np

    x = np.ldexp(x, -_exponents(x, axis=1))
    norms = np.linalg.norm(x, axis=1, keepdims=True)
    norms[norms == 0] = 1  # no other row has a norm below 1/2
    x /= norms
    return x


def contrast(x: "Float[np.ndarray, 'n d']") -> "Float[np.ndarray, 'n d']":
    """Subtract from each row the mean of its d numbers, and divide it by its norm.

    A row whose numbers are the same within rounding, `d eps max|x|`, becomes zero.

    >>> import numpy as np
    >>> contrast(np.array([[1.0, 9.0, 1.0, 9.0], [0.1, 0.1, 0.1, 0.1]]))
    array([[-0.5,  0.5, -0.5,  0.5],
           [ 0. ,  0. ,  0. ,  0. ]])
    """
    import numpy as np

    x = np.ldexp(x, -_exponents(x, axis=1))
    rounding = x.shape[1] * np.finfo(float).eps * abs(x).max(axis=1, initial=0)
    x -= x.mean(axis=1, keepdims=True)
    x[abs(x).max(axis=1, initial=0) <= rounding] = 0
    return unit(x)


def standard(
    x: "Float[np.ndarray, 'n d']", train: "Float[np.ndarray, 'k d']"
) -> "Float[np.ndarray, 'n d']":
    """Standardise each column with its mean and standard deviation over the rows of `train`.

    A column with a standard deviation within rounding, `k eps max|x|`, counts as constant: the
    constant is subtracted, and the column is not divided.

    >>> import numpy as np
    >>> train = np.array([[0.1, 1.0], [0.1, 3.0]])
    >>> standard(train, train)
    array([[ 0., -1.],
           [ 0.,  1.]])
    """
    return standardiser(lambda: [train])(x)


@dataclass(frozen=True, eq=False)
class Standardiser:
    """`standard` as a function of x alone: it has learnt the columns of the training rows.

    >>> import numpy as np
    >>> learnt = standardiser(lambda: [np.array([[0.1, 1.0], [0.1, 3.0]])])
    >>> learnt.mean, learnt.deviation, learnt(np.array([[0.1, 4.0]]))
    (array([0.1, 2. ]), array([1., 1.]), array([[0., 2.]]))
    """

    exponents: "Int[np.ndarray, '1 d']"
    """Exponents of the powers of two by which columns are divided, so that nothing overflows."""
    centre: "Float[np.ndarray, ' d']"
    """Means of the columns so divided; of a constant column its constant."""
    spread: "Float[np.ndarray, ' d']"
    """Standard deviations of the columns so divided."""
    constant: "Bool[np.ndarray, ' d']"
    """Whether a column is constant within rounding."""
    rounding: float

    @property
    def mean(self) -> "Float[np.ndarray, ' d']":
        """Return what is subtracted from each column."""
        import numpy as np

        return np.ldexp(self.centre, self.exponents[0])

    @property
    def deviation(self) -> "Float[np.ndarray, ' d']":
        """Return what each column is then divided by: 1 if it is constant."""
        import numpy as np

        return np.where(self.constant, 1.0, np.ldexp(self.spread, self.exponents[0]))

    def __call__(self, x: "Float[np.ndarray, 'n d']") -> "Float[np.ndarray, 'n d']":
        import numpy as np

        constant = self.constant
        with np.errstate(over="ignore", invalid="ignore"):  # `load` reports an overflow
            x = np.ldexp(x, -self.exponents)
            x -= self.centre
            level = x[:, constant]
            level[abs(level) <= self.rounding] = 0
            x[:, constant] = np.ldexp(level, self.exponents[:, constant])
            x[:, ~constant] /= self.spread[~constant]
        return x


def standardiser(blocks: "Blocks") -> Standardiser:
    """Learn `standard` from the rows of `train` in blocks.

    `blocks()` reads them; they are read three times, for the largest entries, means and deviations.
    """
    import numpy as np

    maxima = [(len(block), abs(block).max(axis=0, keepdims=True, initial=0)) for block in blocks()]
    count, largest = sum(n for n, _ in maxima), np.concatenate([m for _, m in maxima])
    exponents = _exponents(largest, axis=0)
    scaled = (np.ldexp(block, -exponents) for block in blocks())
    first = next(scaled)
    mean = sum((block.sum(axis=0) for block in scaled), first.sum(axis=0)) / count
    squares = np.zeros_like(mean)
    for block in blocks():
        squares += np.square(np.ldexp(block, -exponents) - mean).sum(axis=0)
    deviation = np.sqrt(squares / count)
    rounding = count * np.finfo(float).eps
    constant = deviation <= rounding * np.ldexp(largest, -exponents).max(axis=0)
    centre = np.where(constant, first[0], mean)
    return Standardiser(exponents, centre, deviation, constant, rounding)


def _exponents(x: "Float[np.ndarray, 'n d']", axis: int) -> "np.ndarray":
    """Find exponents of the powers of two just above the largest entry of each row or column."""
    import numpy as np

    return np.frexp(abs(x).max(axis=axis, keepdims=True, initial=0))[1].clip(-900)

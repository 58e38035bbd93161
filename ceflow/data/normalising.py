"""Normalisation of rows to norm 1, with or without their mean, and of columns to mean 0 and
variance 1; without overflow.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float


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
    import numpy as np

    exponents = _exponents(train, axis=0)
    scaled = np.ldexp(train, -exponents)
    mean, deviation = scaled.mean(axis=0), scaled.std(axis=0)
    rounding = len(train) * np.finfo(float).eps
    constant = deviation <= rounding * abs(scaled).max(axis=0)
    with np.errstate(over="ignore", invalid="ignore"):  # `load` reports an overflow
        x = np.ldexp(x, -exponents)
        x -= np.where(constant, scaled[0], mean)
        level = x[:, constant]
        level[abs(level) <= rounding] = 0
        x[:, constant] = np.ldexp(level, exponents[:, constant])
        x[:, ~constant] /= deviation[~constant]
    return x


def _exponents(x: "Float[np.ndarray, 'n d']", axis: int) -> "np.ndarray":
    """Find exponents of the powers of two just above the largest entry of each row or column."""
    import numpy as np

    return np.frexp(abs(x).max(axis=axis, keepdims=True, initial=0))[1].clip(-900)

"""Inputs of norm 1, and numbers of mean 0 and variance 1, at any size of number."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float


def unit(x: "Float[np.ndarray, 'n d']") -> "Float[np.ndarray, 'n d']":
    """Divide each row by its norm; a row of zeros stays one.

    Rows are first scaled by a power of two, which rounds nothing, so that no square overflows or
    vanishes.

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


def standard(
    x: "Float[np.ndarray, 'n d']", train: "Float[np.ndarray, 'k d']"
) -> "Float[np.ndarray, 'n d']":
    """Give each column the mean 0 and the variance 1 that it has over the rows of `train`.

    A column whose deviation is within rounding, `k eps max|x|`, is constant: its constant is
    taken off, and nothing else.

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
    with np.errstate(over="ignore", invalid="ignore"):  # is looked for by who calls
        x = np.ldexp(x, -exponents)
        x -= np.where(constant, scaled[0], mean)
        level = x[:, constant]
        level[abs(level) <= rounding] = 0
        x[:, constant] = np.ldexp(level, exponents[:, constant])
        x[:, ~constant] /= deviation[~constant]
    return x


def _exponents(x: "Float[np.ndarray, 'n d']", axis: int) -> "np.ndarray":
    """Find exponents of the least powers of two above the largest entries of each row or column."""
    import numpy as np

    return np.frexp(abs(x).max(axis=axis, keepdims=True, initial=0))[1].clip(-900)

"""Agreement of kernels and predictions with labels: alignment and accuracy."""

import math

import numpy as np
from jaxtyping import Float

from ceflow.kernels.algebra.matrix import (
    Matrix,
    as_kernel,
    finite,
    norm,
    row_blocks,
    rows_of,
    targets_of,
)

SUM_ROUNDING = 1e-14
"""Relative rounding error of float64 sums over a few thousand rows."""


def alignment(
    kernel: Matrix, targets: Float[np.ndarray, "n ..."], *, centred: bool = False
) -> float:
    """Compute the alignment of a kernel with targets, `<K, Y Y^T>_F / (|K|_F |Y Y^T|_F)`.

    With `centred`, K and Y are replaced by `H K H` and `H Y`, `H = 1 - 11^T/N` (Cortes, Mohri and
    Rostamizadeh, JMLR 2012, eq. 1 and definition 4): then adding a constant to the kernel changes
    nothing. Computes in float64, in two passes over the kernel, three with `centred`. Besides the
    kernel, memory holds a few copies of the targets.

    Raises `ValueError` if the shapes disagree, the kernel is not finite, or one of the two is 0:
    then the alignment is undefined.

    >>> alignment(np.outer([1.0, -1.0], [1.0, -1.0]), np.array([1.0, -1.0]))
    1.0
    """
    kernel = as_kernel(kernel)
    size = len(kernel)
    y = targets_of(kernel, targets).reshape(size, -1)
    means = kernel @ np.full(size, 1 / size) if centred else np.zeros(size)
    y = y / (np.abs(y).max(initial=0) or 1)  # so that no square over- or underflows
    length = float(np.linalg.norm(y))
    y = y - y.mean(axis=0) if centred else y
    product = float(np.vdot(y, kernel @ y))  # <K, Y Y^T>, and <HKH, .> as HY is centred
    # Y Y^T and Y^T Y have the same norm; the smaller of them is not larger than Y.
    gram = y @ y.T if y.shape[1] > size else y.T @ y
    one, two = _norm(kernel, means), float(np.linalg.norm(gram))
    # Centring a constant leaves only rounding errors.
    if one <= SUM_ROUNDING * size * np.abs(means).max() or two <= SUM_ROUNDING * length**2:
        centring = ", once centred" if centred else ""
        raise ValueError(f"the kernel or the targets are 0{centring}: there is no alignment")
    return product / (one * two)


def accuracy(predictions: Float[np.ndarray, "n ..."], targets: Float[np.ndarray, "n ..."]) -> float:
    """Compute the fraction of examples whose class is predicted.

    With several columns (one-hot targets), the class is the column with the largest entry; with one
    column of -1 and 1, it is the sign; with one column of class numbers, the nearest integer.

    >>> accuracy(np.array([[0.2, 0.7], [0.6, 0.3]]), np.array([[0.0, 1.0], [0.0, 1.0]]))
    0.5
    >>> accuracy(np.array([0.3, -2.0]), np.array([1.0, -1.0]))
    1.0
    """
    predictions, targets = rows_of(predictions, "predictions"), rows_of(targets, "targets")
    if predictions.shape != targets.shape or not len(targets):
        raise ValueError(
            f"predictions of shape {predictions.shape} do not go with targets of {targets.shape}"
        )
    if targets.ndim > 1 and targets.shape[1] > 1:
        hits = predictions.argmax(axis=1) == targets.argmax(axis=1)
    elif np.isin(targets, (-1, 1)).all():
        hits = np.sign(predictions) == targets
    else:
        hits = np.rint(predictions) == targets
    return float(hits.mean())


def _norm(kernel: Matrix, means: Float[np.ndarray, " n"]) -> float:
    """Compute `|K - r 1^T - 1 r^T + mean(r)|_F`."""
    total = 0.0
    for rows, block in row_blocks(kernel):
        rest = finite(np.asarray(block, float)) - (means[rows, None] - means.mean())
        rest -= means
        total = math.hypot(total, norm(rest))
    return total

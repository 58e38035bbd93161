"""Eigenmodes of a kernel, the power of targets in them, and the learning curve they predict."""

import math
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import brentq

from ceflow.kernels.algebra.eigenvalues import Spectrum, ends_of, rounding_of
from ceflow.kernels.algebra.matrix import Matrix, as_kernel, numbers, targets_of

POWER_ROUNDING = 1e-24
"""Fraction of the power of targets below which it is rounding: (1e-12)^2, as projections on
eigenvectors have errors of thousands of roundings at most."""


class Modes(NamedTuple):
    """Eigenmodes of a kernel over N examples, in descending order of their eigenvalues."""

    eigenvalues: Float[np.ndarray, " n"]
    """Eigenvalues of the N x N matrix."""
    power: Float[np.ndarray, " n"]
    """Mean square of the targets in each mode; the sum over modes is their mean square."""
    rounding: float = 0.0
    """Size below which an eigenvalue cannot be told from 0."""

    @property
    def ends(self) -> Spectrum:
        """The largest and the smallest eigenvalue."""
        return ends_of(float(self.eigenvalues[0]), float(self.eigenvalues[-1]), self.rounding)


def modes(kernel: Matrix, targets: Float[np.ndarray, "n ..."]) -> Modes:
    """Compute all eigenvalues of a symmetric kernel, and the power of targets in its eigenvectors.

    With u_k the eigenvectors and y_a the targets of output a, as they are and not centred, the
    power is `sum_a (u_k . y_a)^2 / (N outputs)`. Computes in float64 and in memory.

    Raises `ValueError` if the shapes disagree, or the kernel or the targets are not finite.

    >>> modes(np.diag([1.0, 3.0]), np.array([2.0, 4.0]))[:2]
    (array([3., 1.]), array([8., 2.]))
    """
    kernel = as_kernel(kernel)
    y = targets_of(kernel, targets).reshape(len(kernel), -1)
    eigenvalues, vectors = np.linalg.eigh(numbers(kernel))
    power = np.square(vectors.T @ y).sum(axis=1) / y.size
    return Modes(eigenvalues[::-1].copy(), power[::-1].copy(), rounding_of(kernel))


def learning_curve(
    found: Modes, examples: Iterable[int], ridge: float = 0.0
) -> Float[np.ndarray, " points"]:
    """Predict the error of kernel regression on unseen examples against the number P of training
    examples, 1 to N - 1.

    It is the mean squared error on the N - P other examples if P of the N are drawn to train on,
    averaged over draws, with `ridge` on the diagonal of their kernel. The theory is that of
    Bordelon, Canatar and Pehlevan (ICML 2020) and Canatar, Bordelon and Pehlevan (Nature
    Communications 12, 2914, 2021), in which the modes' values at an example are as if Gaussian. It
    is for P drawn from infinitely many examples; here they are drawn from N without replacement.
    With lambda_k the eigenvalues, c_k^2 = N times the power, and sums over k,

        (nu - ridge) sum 1/(lambda_k + nu) = N - P
        s = sum (lambda_k + ridge)/(lambda_k + nu)^2
        all = (nu^2 + (nu - ridge) sum lambda_k^2/(lambda_k + nu)^2 / s) sum c_k^2/(lambda_k + nu)^2
        trained = ridge^2 sum 1/(lambda_k + nu) / s  sum c_k^2/(lambda_k + nu)^2
        error = (all - trained)/(N - P)

    For P far below N, these are the equations of the papers, with kappa = P nu/N: there `all` / N
    is the error. Eigenvalues not above `found.rounding` count as 0. Where a few examples stand out,
    as outliers of few dimensions do, the modes are far from Gaussian and the prediction is too low.

    The error is infinite if P is the number of eigenvalues above 0, there is no ridge, and targets
    have power in the other modes.

    >>> learning_curve(Modes(np.ones(4), np.ones(4)), [1, 2, 3])
    array([4., 4., 4.])
    """
    eigenvalues = np.where(found.eigenvalues > found.rounding, found.eigenvalues, 0.0)
    unit = 2.0 ** (math.frexp(max(float(eigenvalues.max(initial=0.0)), ridge))[1] - 1)
    eigenvalues, ridge = eigenvalues / unit, ridge / unit  # exact; squares may overflow otherwise
    squares, size = found.power * len(found.power), len(found.power)
    for count in (examples := list(examples)):
        if not 1 <= count < size:
            raise ValueError(f"a learning curve over {size} examples is of 1 to {size - 1}")
    return np.array([_error(eigenvalues, squares, count, ridge) for count in examples])


def _error(
    eigenvalues: Float[np.ndarray, " n"], squares: Float[np.ndarray, " n"], count: int, ridge: float
) -> float:
    size, rank = len(eigenvalues), int((eigenvalues > 0).sum())
    if ridge == 0 and count >= rank:  # all modes above 0 are learned, the others are noise
        rest = float(squares[eigenvalues == 0].sum())
        if rest <= POWER_ROUNDING * float(squares.sum()):
            return 0.0
        return rest / (size - rank) * count / (count - rank) if count > rank else math.inf
    nu = _effective_ridge(eigenvalues, count, ridge)
    shrunk = 1 / (eigenvalues + nu)
    left = float((squares * shrunk**2).sum())
    slope = float(((eigenvalues + ridge) * shrunk**2).sum())
    spread = (nu - ridge) * float(np.square(eigenvalues * shrunk).sum()) / slope
    trained = ridge**2 * float(shrunk.sum()) / slope
    return (nu**2 + spread - trained) * left / (size - count)


def _effective_ridge(eigenvalues: Float[np.ndarray, " n"], count: int, ridge: float) -> float:
    """Solve `(nu - ridge) sum 1/(lambda_k + nu) = N - P`, whose left side grows with nu."""
    size = len(eigenvalues)

    def excess(logarithm: float) -> float:
        nu = ridge + math.exp(logarithm)
        return (nu - ridge) * float((1 / (eigenvalues + nu)).sum()) - (size - count)

    largest = float(eigenvalues[0])
    high = math.log(((size - count) * largest + size * ridge) / count)
    low = high
    while excess(low) > 0:
        low -= 5
    if low == high:  # the bound is the root, to rounding
        return ridge + math.exp(high)
    root: Any = brentq(excess, low, high + 1e-9, xtol=1e-13)
    return ridge + math.exp(root)

"""The spread of kernels over initialisations."""

import math

import numpy as np
from jaxtyping import Float

from ceflow import nets
from ceflow.kernels.algebra.matrix import finite, norm

EXTREME = 400
"""An exponent of two: squares of numbers of up to this size or down to it are ordinary numbers."""


class KernelAverage:
    """The mean and spread of kernels that come one at a time; keeps two matrices, not all.

    >>> average = KernelAverage()
    >>> for size in (1.0, 2.0, 3.0): average.add(size * np.eye(2))
    >>> average.mean[0, 0], round(average.spread, 6), round(average.error, 6)
    (np.float64(2.0), 0.5, 0.288675)
    """

    def __init__(self) -> None:
        self.count = 0
        self._exponent = 0
        """Of a power of two that is taken off kernels whose squares no float64 holds."""
        self._mean: np.ndarray | None = None
        self._squares: np.ndarray | float = 0.0

    def add(self, kernel: Float[np.ndarray, "..."]) -> None:
        """Count in one kernel, by Welford's recursion: a small spread is not lost in rounding.

        `ValueError` where it is not finite: so would be all that is told of it.
        """
        kernel = np.asarray(nets.numbers(kernel))
        finite(kernel)
        if self._mean is None:
            exponent = math.frexp(float(np.abs(kernel).max(initial=0)))[1]
            self._exponent = exponent if abs(exponent) > EXTREME else 0
        if self._exponent:
            kernel = np.ldexp(np.asarray(kernel, float), -self._exponent)
        self.count += 1
        mean = np.zeros(kernel.shape) if self._mean is None else self._mean
        step = kernel - mean
        self._mean = mean + step / self.count
        self._squares = self._squares + step * (kernel - self._mean)

    @property
    def mean(self) -> Float[np.ndarray, "..."]:
        """The mean kernel."""
        if self._mean is None:
            raise ValueError("no kernel was counted")
        return np.ldexp(self._mean, self._exponent) if self._exponent else self._mean

    @property
    def stderr(self) -> Float[np.ndarray, "..."]:
        """The standard error of each entry of the mean. `ValueError` for fewer than two kernels."""
        return np.ldexp(np.sqrt(self._variance() / self.count), self._exponent)

    @property
    def spread(self) -> float:
        """The standard deviation over the kernels, relative: `sqrt(sum Var(K_ij) / sum E[K_ij]^2)`.

        Of networks whose entries all vary alike this is the square root of `Var(K)/E[K]^2`, which
        CE eq. 9 and 11 give a law for. Raises `ValueError` for fewer than two kernels.
        """
        size = norm(self.mean)
        if size == 0:
            raise ValueError(
                "all kernels drawn are 0: the networks are too narrow, or all inputs 0"
            )
        return math.ldexp(math.sqrt(self._variance().sum()), self._exponent) / size

    @property
    def error(self) -> float:
        """The standard error of the mean, relative: `spread / sqrt(count)`."""
        return self.spread / math.sqrt(self.count)

    def _variance(self) -> Float[np.ndarray, "..."]:
        if self.count < 2:
            raise ValueError("a spread needs at least two kernels")
        return np.asarray(self._squares) / (self.count - 1)

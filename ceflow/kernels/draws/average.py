"""The mean and spread of kernels over initialisations."""

import math

import numpy as np
from jaxtyping import Float

from ceflow import nets
from ceflow.kernels.algebra.matrix import finite

EXTREME_EXPONENT = 400
"""Binary exponent; squares of numbers from 2^-400 to 2^400 neither over- nor underflow."""


class KernelAverage:
    """Running mean and spread of kernels that are added one at a time; it stores two matrices.

    >>> average = KernelAverage()
    >>> for size in (1.0, 2.0, 3.0): average.add(size * np.eye(2))
    >>> average.mean[0, 0], round(average.spread, 6), round(average.error, 6)
    (np.float64(2.0), 0.5, 0.288675)
    """

    def __init__(self) -> None:
        self.count = 0
        self._exponent = 0
        """Exponent of the power of two that kernels are divided by, so that squares stay finite."""
        self._mean: np.ndarray | None = None
        self._squares: np.ndarray | float = 0.0

    def add(self, kernel: Float[np.ndarray, "..."]) -> None:
        """Add a kernel, by Welford's algorithm, which keeps a small spread accurate.

        Raises `ValueError` if the kernel is not finite, or not of the shape of the others.
        """
        kernel = np.asarray(nets.numbers(kernel))
        finite(kernel)
        if self._mean is not None and kernel.shape != self._mean.shape:
            raise ValueError(
                f"a kernel of shape {kernel.shape} has no mean with others of {self._mean.shape}"
            )
        self._scale(math.frexp(float(np.abs(kernel).max(initial=0)))[1])
        if self._exponent:
            kernel = np.ldexp(np.asarray(kernel, float), -self._exponent)
        self.count += 1
        mean = np.zeros(kernel.shape) if self._mean is None else self._mean
        step = kernel - mean
        self._mean = mean + step / self.count
        self._squares = self._squares + step * (kernel - self._mean)

    def _scale(self, exponent: int) -> None:
        """Choose the unit so that the squares of kernels up to 2^exponent stay finite."""
        if self._mean is None or not (self._mean.any() or np.any(self._squares)):
            self._exponent = exponent if abs(exponent) > EXTREME_EXPONENT else 0
        elif exponent - self._exponent > EXTREME_EXPONENT:
            change, self._exponent = self._exponent - exponent, exponent
            self._mean = np.ldexp(self._mean, change)
            self._squares = np.ldexp(self._squares, 2 * change)

    @property
    def mean(self) -> Float[np.ndarray, "..."]:
        """Mean kernel."""
        if self._mean is None:
            raise ValueError("no kernel was added")
        return np.ldexp(self._mean, self._exponent) if self._exponent else self._mean

    @property
    def stderr(self) -> Float[np.ndarray, "..."]:
        """Standard error of each entry of the mean. Raises `ValueError` below two kernels."""
        return np.ldexp(np.sqrt(self._variance() / self.count), self._exponent)

    @property
    def spread(self) -> float:
        """Relative standard deviation of the kernels: `sqrt(sum Var(K_ij) / sum E[K_ij]^2)`.

        If all entries have the same relative variance, its square is `Var(K)/E[K]^2` of CE eq. 9
        and 11. Raises `ValueError` for fewer than two kernels.
        """
        if not self.mean.any():
            raise ValueError(
                "all kernels drawn are 0: the networks are too narrow, or all inputs are 0"
            )
        # In the unit of the numbers kept, neither square over- nor underflows. This is called after
        # every draw, and `numpy.linalg.norm` would wait for threads.
        size = math.sqrt(np.square(np.asarray(self._mean)).sum())
        return math.sqrt(self._variance().sum()) / size

    @property
    def error(self) -> float:
        """Relative standard error of the mean: `spread / sqrt(count)`."""
        return self.spread / math.sqrt(self.count)

    def _variance(self) -> Float[np.ndarray, "..."]:
        if self.count < 2:
            raise ValueError("a spread needs at least two kernels")
        return np.asarray(self._squares) / (self.count - 1)

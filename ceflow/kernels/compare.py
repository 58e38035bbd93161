"""How far kernels are from each other, and how much they vary over initialisations."""

import math

import numpy as np
from jaxtyping import Float


def relative_distance(
    kernel: Float[np.ndarray, "..."], reference: Float[np.ndarray, "..."]
) -> float:
    """`|K - R|/|R|` in Frobenius norm. Raises `ValueError` where R is 0.

    >>> relative_distance(2 * np.eye(3), np.eye(3))
    1.0
    """
    norm = float(np.linalg.norm(reference))
    if norm == 0:
        raise ValueError("the reference kernel is 0: are all inputs 0?")
    return float(np.linalg.norm(kernel - reference)) / norm


class KernelAverage:
    """The mean and spread of kernels that come one at a time; keeps one matrix, not all."""

    def __init__(self) -> None:
        self.count = 0
        self._mean: np.ndarray | None = None
        self._squares = 0.0

    def add(self, kernel: Float[np.ndarray, "..."]) -> None:
        """Count in one kernel, by Welford's recursion: a small spread is not lost in rounding."""
        self.count += 1
        mean = np.zeros(kernel.shape) if self._mean is None else self._mean
        step = kernel - mean
        self._mean = mean + step / self.count
        self._squares += float((step * (kernel - self._mean)).sum())

    @property
    def mean(self) -> Float[np.ndarray, "..."]:
        """The mean kernel."""
        if self._mean is None:
            raise ValueError("no kernel was counted")
        return self._mean

    @property
    def spread(self) -> float:
        """The standard deviation over the kernels, relative: `sqrt(sum Var(K_ij) / sum E[K_ij]^2)`.

        Of networks whose entries all vary alike this is the square root of `Var(K)/E[K]^2`, which
        CE eq. 9 and 11 give a law for. Raises `ValueError` for fewer than two kernels.

        >>> average = KernelAverage()
        >>> for size in (1.0, 2.0, 3.0): average.add(size * np.eye(2))
        >>> round(average.spread, 6)
        0.5
        """
        if self.count < 2:
            raise ValueError("a spread needs at least two kernels")
        return math.sqrt(self._squares / (self.count - 1)) / float(np.linalg.norm(self.mean))

"""How far kernels are from each other, and how much they vary over initialisations."""

import math

import numpy as np
from jaxtyping import Float


def relative_distance(
    kernel: Float[np.ndarray, "..."], reference: Float[np.ndarray, "..."]
) -> float:
    """`|K - R|/|R|` in Frobenius norm.

    >>> relative_distance(2 * np.eye(3), np.eye(3))
    1.0
    """
    return float(np.linalg.norm(kernel - reference) / np.linalg.norm(reference))


class KernelAverage:
    """The mean and spread of kernels that come one at a time; keeps one matrix, not all."""

    def __init__(self) -> None:
        self.count = 0
        self._total: np.ndarray | None = None
        self._squares = 0.0

    def add(self, kernel: Float[np.ndarray, "..."]) -> None:
        """Count in one kernel."""
        self.count += 1
        self._total = kernel.astype(float) if self._total is None else self._total + kernel
        self._squares += float(np.linalg.norm(kernel)) ** 2

    @property
    def mean(self) -> Float[np.ndarray, "..."]:
        """The mean kernel."""
        if self._total is None:
            raise ValueError("no kernel was counted")
        return self._total / self.count

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
        mean = float(np.linalg.norm(self.mean))
        variance = (self._squares - self.count * mean**2) / (self.count - 1)
        return math.sqrt(max(variance, 0.0)) / mean

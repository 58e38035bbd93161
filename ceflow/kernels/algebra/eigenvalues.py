"""The ends of a kernel's spectrum, of kernels in memory or on disk."""

import math
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse.linalg import ArpackError, LinearOperator, eigsh

from ceflow._machine import MEMORY
from ceflow.kernels.algebra.cholesky import SingularError, factored, rounding_ridge
from ceflow.kernels.algebra.matrix import (
    Matrix,
    as_kernel,
    epsilon,
    finite,
    fits,
    numbers,
    row_blocks,
)

TOLERANCE = 1e-7
"""Of the residual of an eigenvector; its eigenvalue is off by the square of that."""

VECTORS = 12
"""Kept by Lanczos: enough for one eigenvalue at an end, and few products."""


class Spectrum(NamedTuple):
    """The largest and smallest eigenvalue, and their ratio: None where rounding leaves it open."""

    eigenvalue_max: float
    eigenvalue_min: float
    condition: float | None


def spectrum(kernel: Matrix, *, memory: int = MEMORY, scratch: Path | None = None) -> Spectrum:
    """Compute both ends of the spectrum of a symmetric kernel, in float64.

    Where three float64 copies of it fit `memory` (bytes), LAPACK; else Lanczos: for the largest on
    K, for the smallest on K^-1 through a Cholesky factor in tiles (`scratch` is the folder for it,
    by default beside a kernel on disk). The condition number is None where the smallest eigenvalue
    is not above `10 eps |K|_F`, eps that of the kernel's own type: entries are off by a few eps,
    and by no more than the norm of that is an eigenvalue.
    A kernel without a factor is such a one; its smallest eigenvalue, about 0, is then known to
    about that bound.

    Raises `ValueError` where the kernel is not finite.

    >>> spectrum(np.diag([1.0, 2.0, 8.0]))
    Spectrum(eigenvalue_max=8.0, eigenvalue_min=1.0, condition=8.0)
    """
    kernel = as_kernel(kernel)
    if fits(len(kernel), memory):
        eigenvalues = np.linalg.eigvalsh(numbers(kernel))
        smallest, largest = float(eigenvalues[0]), float(eigenvalues[-1])
    else:
        largest = eigenvalue_max(kernel)
        smallest = _eigenvalue_min(kernel, largest, memory, scratch)
    condition = largest / smallest if smallest > _rounding(kernel) else None
    return Spectrum(largest, smallest, condition)


def _rounding(kernel: Matrix) -> float:
    """Bound by how much an eigenvalue may be off as entries are off by ten roundings."""
    squares = math.fsum(
        float(np.square(block, dtype=float).sum()) for _, block in row_blocks(kernel)
    )
    return 10 * epsilon(kernel) * math.sqrt(squares)


def eigenvalue_max(kernel: Matrix) -> float:
    """Find the largest eigenvalue of a symmetric kernel, by Lanczos: some tens of products `K v`.

    >>> round(eigenvalue_max(np.diag([1.0, 2.0, 8.0])), 12)
    8.0
    """
    kernel = as_kernel(kernel)
    return _lanczos(lambda v: kernel @ v, len(kernel))


def _eigenvalue_min(kernel: Matrix, largest: float, memory: int, scratch: Path | None) -> float:
    """Do inverse Lanczos, with a shift where no factor is without; in the end on `max - K`."""
    size = len(kernel)
    for shift, tolerance in ((0.0, TOLERANCE), (rounding_ridge(kernel), 0.01)):
        with (
            suppress(SingularError),
            factored(kernel, shift, memory=memory, scratch=scratch) as factor,
        ):
            return 1 / _lanczos(factor.solve, size, tolerance) - shift
    return largest - _lanczos(lambda v: largest * v - kernel @ v, size, 1e-6)


def _lanczos(
    product: Callable[[np.ndarray], np.ndarray], size: int, tolerance: float = TOLERANCE
) -> float:
    """Find the largest eigenvalue of a symmetric operator, scaled for ARPACK.

    Norms in ARPACK underflow.

    Raises `ValueError` where it is not finite, or has no such eigenvalue to the tolerance.
    """
    if size == 1:  # too small for ARPACK
        return float(finite(product(np.ones(1)))[0])
    start = np.random.default_rng(0).normal(size=size)
    scale = float(np.abs(finite(product(start))).max())
    if scale == 0:
        return 0.0

    def checked(vector: np.ndarray) -> np.ndarray:
        return finite(product(vector)) / scale

    operator = LinearOperator((size, size), matvec=checked, dtype=float)  # pyright: ignore[reportCallIssue]
    options: Any = {"v0": start, "ncv": min(VECTORS, size), "tol": tolerance}
    try:
        largest = eigsh(operator, 1, which="LA", return_eigenvectors=False, **options)
    except ArpackError:
        raise ValueError(
            "the largest eigenvalue of the kernel was not found: is it a kernel?"
        ) from None
    return float(largest[0]) * scale

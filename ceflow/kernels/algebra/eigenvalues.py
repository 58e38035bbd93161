"""The largest and smallest eigenvalue of a kernel, in memory or on disk."""

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

RESIDUAL_TOLERANCE = 1e-7
"""Relative tolerance of an eigenvector's residual; its eigenvalue's error is the square."""

LANCZOS_VECTORS = 12
"""Number of Lanczos vectors: enough for one extreme eigenvalue, with few products."""


class Spectrum(NamedTuple):
    """The largest and smallest eigenvalue, and their ratio; None if rounding hides the ratio."""

    eigenvalue_max: float
    eigenvalue_min: float
    condition: float | None


def spectrum(kernel: Matrix, *, memory: int = MEMORY, scratch: Path | None = None) -> Spectrum:
    """Compute both ends of the spectrum of a symmetric kernel, in float64.

    If three float64 copies of the kernel fit into `memory` (bytes), LAPACK computes all
    eigenvalues. Otherwise Lanczos iteration computes the largest eigenvalue from K and the
    smallest from K^-1, with a Cholesky factor in tiles (in the folder `scratch`, by default next to
    a kernel on disk).

    The condition number is None if the smallest eigenvalue is not above `10 eps |K|_F`, with eps of
    the kernel's own type: the rounding of entries may shift an eigenvalue by that much. If the
    kernel has no Cholesky factor, its smallest eigenvalue is about 0, within about that bound.

    Raises `ValueError` if the kernel is not finite.

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
    return ends_of(largest, smallest, rounding_of(kernel))


def ends_of(largest: float, smallest: float, rounding: float) -> Spectrum:
    """Put both ends of a spectrum together; an eigenvalue not above `rounding` may be 0."""
    return Spectrum(largest, smallest, largest / smallest if smallest > rounding else None)


def rounding_of(kernel: Matrix) -> float:
    """Bound the error of an eigenvalue if entries have errors of ten roundings: `10 eps |K|_F`."""
    squares = math.fsum(
        float(np.square(block, dtype=float).sum()) for _, block in row_blocks(kernel)
    )
    return 10 * epsilon(kernel) * math.sqrt(squares)


def eigenvalue_max(kernel: Matrix) -> float:
    """Compute the largest eigenvalue of a symmetric kernel, by Lanczos: tens of products `K v`.

    >>> round(eigenvalue_max(np.diag([1.0, 2.0, 8.0])), 12)
    8.0
    """
    kernel = as_kernel(kernel)
    return _lanczos(lambda v: kernel @ v, len(kernel))


def _eigenvalue_min(kernel: Matrix, largest: float, memory: int, scratch: Path | None) -> float:
    """Compute the smallest eigenvalue by inverse Lanczos iteration.

    If K is singular, a ridge is added; if that is singular too, use Lanczos on `max - K`.
    """
    size = len(kernel)
    for shift, tolerance in ((0.0, RESIDUAL_TOLERANCE), (rounding_ridge(kernel), 0.01)):
        with (
            suppress(SingularError),
            factored(kernel, shift, memory=memory, scratch=scratch) as factor,
        ):
            return 1 / _lanczos(factor.solve, size, tolerance) - shift
    return largest - _lanczos(lambda v: largest * v - kernel @ v, size, 1e-6)


def _lanczos(
    product: Callable[[np.ndarray], np.ndarray], size: int, tolerance: float = RESIDUAL_TOLERANCE
) -> float:
    """Compute the largest eigenvalue of a symmetric operator by ARPACK.

    The operator is scaled first, as norms in ARPACK may underflow.

    Raises `ValueError` if its products are not finite or the iteration does not converge.
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
    options: Any = {"v0": start, "ncv": min(LANCZOS_VECTORS, size), "tol": tolerance}
    try:
        largest = eigsh(operator, 1, which="LA", return_eigenvectors=False, **options)
    except ArpackError:
        raise ValueError(
            "Lanczos found no largest eigenvalue of the kernel: is it symmetric and positive?"
        ) from None
    return float(largest[0]) * scale

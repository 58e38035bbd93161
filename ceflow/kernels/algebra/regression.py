"""Kernel regression, from kernels in memory or on disk."""

import math
import sys
from numbers import Real
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ceflow._machine import MEMORY
from ceflow.kernels.algebra.cholesky import SingularError, factored, rounding_ridge
from ceflow.kernels.algebra.matrix import Matrix, as_kernel, rows_of

ZERO_KERNEL = "the kernel is 0, or too small for float64: are all inputs 0?"


def fit(
    kernel: Matrix,
    targets: Float[np.ndarray, "n ..."],
    ridge: float = 0.0,
    *,
    memory: int = MEMORY,
    scratch: Path | None = None,
) -> Float[np.ndarray, "n ..."]:
    """Compute coefficients `(K + ridge 1)^-1 Y` of kernel regression, float64.

    Predictions are `K(x, X) @ coefficients`. With the NTK and ridge 0, they are the function that a
    wide network converges to, minus its initial function.

    Uses a Cholesky factor in float64: in memory if three matrices fit into `memory` (bytes)
    and have at most 8,192 rows, otherwise in tiles in a temporary folder inside `scratch`, by
    default next to a kernel on disk (1.6 GB for 20,000 rows).

    Raises `ValueError` if the shapes disagree, the ridge is below 0, the targets are not finite, or
    the kernel is not finite, not symmetric, or 0. Raises `SingularError`, a `ValueError`, if the
    kernel is singular to rounding; its message states the ridge that is needed.

    >>> fit(np.eye(2), np.array([1.0, -1.0]), ridge=1.0)
    array([ 0.5, -0.5])
    """
    kernel, targets = as_kernel(kernel), rows_of(targets, "targets")
    if len(targets) != len(kernel):
        raise ValueError(f"{len(targets)} targets do not go with a kernel of {len(kernel)} rows")
    if not (isinstance(ridge, Real) and math.isfinite(ridge) and ridge >= 0):
        raise ValueError(f"a ridge is a number of 0 or more, not {ridge!r}")
    if float(kernel.diagonal().sum(dtype=float)) + ridge < sys.float_info.min:
        raise ValueError(ZERO_KERNEL)
    try:
        with factored(kernel, ridge, memory=memory, scratch=scratch) as factor:
            coefficients = factor.solve(targets)
    except SingularError:
        raise _explained(kernel, ridge) from None
    if not np.isfinite(coefficients).all():
        raise ValueError(
            "the coefficients overflow float64: bring the kernel and the targets to the scale of"
            " 1, or give a ridge"
        )
    return coefficients


def _explained(kernel: Matrix, ridge: float) -> ValueError:
    enough = rounding_ridge(kernel)
    if ridge >= enough:
        return ValueError(
            "the kernel has negative eigenvalues beyond rounding; it must be positive semidefinite"
        )
    return SingularError(
        f"the kernel is singular to rounding; give a ridge of at least {enough:.1e}"
    )

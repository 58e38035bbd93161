"""Kernel regression, from kernels in memory or on disk, with the variances of its predictions."""

import math
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from numbers import Real
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ceflow._machine import MEMORY
from ceflow.kernels.algebra.cholesky import Factor, SingularError, factored, rounding_ridge
from ceflow.kernels.algebra.matrix import Matrix, as_kernel, epsilon, targets_of

ZERO_KERNEL = "the kernel is 0, or too small for float64: are all inputs 0?"


@dataclass(frozen=True)
class Regression:
    """A kernel regression that was fitted: the posterior of a Gaussian process with covariance K,
    mean 0, and noise of variance `ridge` on the targets.
    """

    coefficients: Float[np.ndarray, "n ..."]
    """`(K + ridge 1)^-1 Y`: the posterior mean at x is `K(x, X) @ coefficients`."""
    factor: Factor
    rounding: float
    """Rounding error of an entry of the kernel: that of its largest."""

    def variances(
        self, cross: Float[np.ndarray, "m n"], own: Float[np.ndarray, " m"]
    ) -> tuple[Float[np.ndarray, " m"], Float[np.ndarray, " m"]]:
        """Compute posterior variances without the noise, and how far rounding can move each.

        With `cross` the kernel of m points x with the training points and `own` that of each x with
        itself, the variance is `K(x, x) - w . K(X, x)` with `w = (K + ridge 1)^-1 K(X, x)`. If each
        entry is off by eps, it is off by at most `eps (1 + |w|_1)^2`.
        """
        cross = np.asarray(cross, float)
        weights = self.factor.solve(cross.T).T
        sums = np.abs(weights).sum(axis=1)
        variances = np.asarray(own, float) - (weights * cross).sum(axis=1)
        return variances, self.rounding * np.square(1 + sums)


@contextmanager
def regression(
    kernel: Matrix,
    targets: Float[np.ndarray, "n ..."],
    ridge: float = 0.0,
    *,
    memory: int = MEMORY,
    scratch: Path | None = None,
) -> Iterator[Regression]:
    """Fit a kernel regression, as `fit` does; its factor exists within the `with` block.

    >>> with regression(np.eye(2), np.array([1.0, -1.0]), ridge=1.0) as fitted:
    ...     variances, _ = fitted.variances(np.array([[1.0, 0.0], [0.0, 0.0]]), np.ones(2))
    >>> variances
    array([0.5, 1. ])
    """
    kernel, targets = checked_regression(kernel, targets, ridge)
    with ExitStack() as held:
        try:
            factor = held.enter_context(factored(kernel, ridge, memory=memory, scratch=scratch))
        except SingularError:
            raise _explained(kernel, ridge) from None
        coefficients = factor.solve(targets)
        if not np.isfinite(coefficients).all():
            raise ValueError(
                "the coefficients overflow float64: bring the kernel and the targets to the scale"
                " of 1, or give a ridge"
            )
        yield Regression(coefficients, factor, epsilon(kernel) * float(np.max(kernel.diagonal())))


def checked_regression(
    kernel: Matrix, targets: Float[np.ndarray, "n ..."], ridge: float
) -> tuple[Matrix, Float[np.ndarray, "n ..."]]:
    """Convert the kernel and the targets of a regression; raise `ValueError` as `fit` does."""
    kernel = as_kernel(kernel)
    targets = targets_of(kernel, targets)
    if not (isinstance(ridge, Real) and math.isfinite(ridge) and ridge >= 0):
        raise ValueError(f"a ridge is a number of 0 or more, not {ridge!r}")
    if float(kernel.diagonal().sum(dtype=float)) + ridge < sys.float_info.min:
        raise ValueError(ZERO_KERNEL)
    return kernel, targets


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
    with regression(kernel, targets, ridge, memory=memory, scratch=scratch) as fitted:
        return fitted.coefficients


def _explained(kernel: Matrix, ridge: float) -> ValueError:
    enough = rounding_ridge(kernel)
    if ridge >= enough:
        return ValueError(
            "the kernel has negative eigenvalues beyond rounding; it must be positive semidefinite"
        )
    return SingularError(
        f"the kernel is singular to rounding; give a ridge of at least {enough:.1e}"
    )

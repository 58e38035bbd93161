"""What a `kernel` stage finds."""

import math
from typing import TYPE_CHECKING

from ceflow import kernels
from ceflow.stages.result import Array, Record, Result

if TYPE_CHECKING:
    import numpy as np


class MethodResult(Result):
    """What the method that computes a kernel says of it."""

    quadrature_error: float | None = None
    """Of an analytic kernel: how far an entry may be off, over the largest diagonal entry; None
    where nothing is known."""
    draws: int | None = None
    """Of a drawn kernel: the networks."""
    error: float | None = None
    """The standard error of the mean kernel, relative: sqrt(sum stderr_ij^2) / |K|."""
    stderr: Array | None = None
    """The standard error of each entry of the mean kernel."""
    spread: float | None = None
    """Over the draws: sqrt(sum Var(K_ij) / sum E[K_ij]^2)."""
    distance: float | None = None
    """From the reference R: |K - R| / |R| in Frobenius norm, the mean over draws."""
    distance_stderr: float | None = None
    """The standard error of that mean."""
    distance_of_mean: float | None = None
    """From the reference to the mean over draws."""


class Profile(Record):
    """One row of a kernel over the circle, that of its middle point."""

    angles: list[float]
    """Between that point and each."""
    kernel: list[float]
    """Entries of the row; of a kernel over all outputs, their mean."""
    stderr: list[float] | None = None
    """The standard error of each, where the kernel is a mean over draws."""


class KernelResult(MethodResult):
    """A kernel over the training inputs, and what follows from it."""

    kind: str
    """ntk or nngp."""
    method: str
    """analytic, empirical or mean."""
    shape: list[int]
    """(n, n), or (n, n, outputs, outputs)."""
    trace: float
    """Over examples; of a kernel over all outputs, over these too."""
    array: Array
    """The kernel; of several draws the first one's."""
    reference: str | None = None
    """The kernel stage that distances are measured from."""
    eigenvalue_max: float | None = None
    """The largest eigenvalue."""
    eigenvalue_min: float | None = None
    """The smallest eigenvalue."""
    condition: float | None = None
    """Their ratio; undefined where the smallest is 0 to rounding."""
    alignment: float | None = None
    """With the targets: <K, y y^T> / (|K| |y y^T|)."""
    alignment_centred: float | None = None
    """The same of the centred kernel and targets."""
    train_mse: float | None = None
    """Of kernel regression on training examples: the mean squared error."""
    train_accuracy: float | None = None
    """Of kernel regression on training examples: the share of examples whose class is right."""
    test_mse: float | None = None
    """Of kernel regression on test examples: the mean squared error."""
    test_accuracy: float | None = None
    """Of kernel regression on test examples: the share of examples whose class is right."""
    profile: Profile | None = None
    """One row of a kernel over the circle."""

    def columns(self) -> "dict[str, np.ndarray]":
        """Tell the profile, of a kernel over the circle."""
        import numpy as np

        if self.profile is None:
            return super().columns()
        return {key: np.array(column) for key, column in self.profile.items() if column is not None}

    @property
    def caution(self) -> str | None:
        if "quadrature_error" not in self:
            return None
        error = self.quadrature_error
        return kernels.inaccuracy(math.nan if error is None else error)

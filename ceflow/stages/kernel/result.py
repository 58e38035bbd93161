"""The result of a `kernel` stage."""

import math
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ceflow import kernels
from ceflow.stages.result import Array, Record, Result

if TYPE_CHECKING:
    import numpy as np


class MethodResult(Result):
    """What the method that computes a kernel says of it."""

    quadrature_error: float | None = None
    """Of `analytic`: a bound on the error of every entry, rounding included, relative to the
    largest diagonal entry of the NTK; null where it may be as large as the entries, and a warning
    says so."""
    draws: int | None = None
    """Networks drawn; of `empirical` and `mean`."""
    error: float | None = None
    """Of `mean`: its standard error, relative: sqrt(sum stderr_ij^2)/|K|."""
    stderr: Array | None = None
    """Of `mean`: the standard error of each entry; in `results.json` where it is,
    `arrays/NAME.stderr.zarr`."""
    spread: float | None = None
    """The relative standard deviation over the draws, sqrt(sum Var(K_ij)/sum E[K_ij]^2); of
    `empirical` with two draws or more."""
    distance: float | None = None
    """From the reference R: |K - R|/|R| in Frobenius norm; of `empirical` the mean over the
    draws."""
    distance_stderr: float | None = None
    """The standard error of that mean; of `empirical` with two draws or more."""
    distance_of_mean: float | None = None
    """The distance of the mean of the kernels from the reference; of `empirical` with two draws or
    more."""


class Profile(Record):
    """One row of a kernel over the circle, that of its middle point."""

    angles: list[float]
    """Of each point, from the middle one."""
    kernel: list[float]
    """Between that point and each; of a kernel over all outputs, their mean."""
    stderr: list[float] | None = None
    """The standard error of each entry; of a mean."""


class KernelResult(MethodResult):
    """A kernel over the training inputs, and what follows from it."""

    kind: str
    """As in the document, `ntk` or `nngp`."""
    method: str
    """As in the document, `analytic`, `empirical` or `mean`."""
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=4)]
    """Of the matrix: (N, N), or with `outputs = "full"` (N, N, outputs, outputs)."""
    trace: float
    """The sum of the diagonal; with `outputs = "full"`, over outputs too."""
    array: Array
    """The matrix, of `empirical` the kernel of the first network, of `mean` the mean; in
    `results.json` where it is, `arrays/NAME.zarr`."""
    reference: str | None = None
    """As in the document, where it is given: the kernel stage that distances are measured from."""
    eigenvalue_max: float | None = None
    """The largest eigenvalue of the matrix; with `spectrum`."""
    eigenvalue_min: float | None = None
    """The smallest eigenvalue of the matrix; with `spectrum`."""
    condition: float | None = None
    """The one over the other; null where the smallest is zero to rounding."""
    alignment: float | None = None
    """With the targets, <K, y y^T>/(|K| |y y^T|); with `alignment`."""
    alignment_centred: float | None = None
    """The same of the kernel and the targets both centred; with `alignment`."""
    train_mse: float | None = None
    """Mean squared error of the kernel regression on training examples, over examples and outputs;
    with `ridge`."""
    train_accuracy: float | None = None
    """The fraction of training examples whose class it predicts, where the targets are classes."""
    test_mse: float | None = None
    """Mean squared error of the kernel regression on test examples, over examples and outputs; with
    `ridge`."""
    test_accuracy: float | None = None
    """The fraction of test examples whose class it predicts, where the targets are classes."""
    profile: Profile | None = None
    """One row of a kernel over a `circle`, that of its middle point."""

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

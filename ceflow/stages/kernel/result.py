"""The result of a `kernel` stage."""

import math
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from ceflow import kernels
from ceflow.stages.profiles import OutputProfile
from ceflow.stages.result import Array, Record, Result

if TYPE_CHECKING:
    import numpy as np


class MethodResult(Result):
    """The report of the method that computed a kernel."""

    quadrature_error: float | None = None
    """Method `analytic` only: bound on the error of every entry, rounding included, relative to the
    largest diagonal entry of the NTK; null, with a warning, if the error may be as large as the
    entries."""
    draws: int | None = None
    """Number of networks drawn (`empirical` and `mean`)."""
    error: float | None = None
    """Method `mean` only: relative standard error, sqrt(sum stderr_ij^2)/|K|."""
    stderr: Array | None = None
    """Method `mean` only: standard error of each entry. `results.json` holds the file name,
    `arrays/NAME.stderr.zarr`."""
    spread: float | None = None
    """Relative standard deviation over the draws, sqrt(sum Var(K_ij)/sum E[K_ij]^2); `empirical`
    with two or more draws."""
    distance: float | None = None
    """Distance from the reference R, |K - R|/|R| in Frobenius norm; for `empirical` the mean over
    the draws."""
    distance_stderr: float | None = None
    """Standard error of that mean; `empirical` with two or more draws."""
    distance_of_mean: float | None = None
    """Distance of the mean of the kernels from the reference; `empirical` with two or more
    draws."""


class Profile(Record):
    """One row of a kernel over the circle: the row of the middle point."""

    angles: list[float]
    """Angle between each point and the middle one."""
    kernel: list[float]
    """Kernel between the middle point and each point; for a kernel over all outputs, the mean over
    them."""
    stderr: list[float] | None = None
    """Standard error of each entry, if the kernel is a mean."""


class ModePoint(Record):
    """The eigenmode number k of a kernel, and a kernel regression on k training examples."""

    k: int
    """Number of the eigenmode, counted from 1 at the largest eigenvalue, and of training
    examples."""
    eigenvalue: float
    """Eigenvalue of that mode."""
    cumulative_power: float | None = None
    """Power of the targets in the first k modes, as a fraction of their mean square; null if the
    targets are 0."""
    predicted_mse: float | None = None
    """Mean squared error on unseen examples that is predicted for a kernel regression on k training
    examples; for k up to N/2, null if it is infinite."""


class KernelResult(MethodResult):
    """A kernel over the training inputs, and quantities computed from it."""

    ROWS: ClassVar = "curve"

    kind: str
    """Kind of kernel, as in the document: `ntk` or `nngp`."""
    method: str
    """Method that computed the kernel: `analytic`, `empirical` or `mean`; `unknown` if it was read
    from a file that does not tell."""
    file: str | None = None
    """File from which the kernel was read, as in the document; with `from`."""
    shape: Annotated[list[Annotated[int, Field(ge=1)]], Field(min_length=2, max_length=4)]
    """Shape of the matrix: (N, N), or (N, N, outputs, outputs) with `outputs = "full"`."""
    trace: float
    """Sum of the diagonal; with `outputs = "full"`, also over outputs."""
    array: Array
    """The matrix: for `empirical` the kernel of the first network, for `mean` the mean.
    `results.json` holds the file name, `arrays/NAME.zarr`."""
    test_train: Array | None = None
    """The kernel between test and training examples, a row for each test example; with
    `test_blocks`. `results.json` holds the file name, `arrays/NAME.test_train.zarr`."""
    test: Array | None = None
    """The kernel among test examples; with `test_blocks`. `results.json` holds the file name,
    `arrays/NAME.test.zarr`."""
    reference: str | None = None
    """The kernel stage from which distances are measured, as in the document."""
    eigenvalue_max: float | None = None
    """Largest eigenvalue of the matrix; with `spectrum`."""
    eigenvalue_min: float | None = None
    """Smallest eigenvalue of the matrix; with `spectrum`."""
    condition: float | None = None
    """Condition number, the largest eigenvalue divided by the smallest; null if the smallest is
    zero to rounding."""
    eigenvalues: Array | None = None
    """All eigenvalues, the largest first; with `spectrum = "full"`. `results.json` holds the file
    name, `arrays/NAME.eigenvalues.zarr`."""
    power: Array | None = None
    """Mean square of the targets in each eigenmode, in the order of the eigenvalues; with
    `spectrum = "full"`. `results.json` holds the file name, `arrays/NAME.power.zarr`."""
    curve: list[ModePoint] | None = None
    """Eigenmodes and learning curve at some numbers k from 1 to N; with `spectrum = "full"`."""
    alignment: float | None = None
    """Alignment with the targets, <K, y y^T>/(|K| |y y^T|); with `alignment`."""
    alignment_centred: float | None = None
    """The same alignment after centring the kernel and the targets; with `alignment`."""
    iterations: int | None = None
    """Number of iterations of conjugate gradients; with `solver = "cg"`."""
    residual: float | None = None
    """Relative residual of the regression, the largest over outputs; with `solver = "cg"`."""
    train_mse: float | None = None
    """Mean squared error of the kernel regression over training examples and outputs; with
    `ridge`."""
    train_accuracy: float | None = None
    """Fraction of training examples whose class the kernel regression predicts, if the targets are
    classes."""
    test_mse: float | None = None
    """Mean squared error of the kernel regression over test examples and outputs; with `ridge`."""
    test_accuracy: float | None = None
    """Fraction of test examples whose class the kernel regression predicts, if the targets are
    classes."""
    predictions: Array | None = None
    """Predictions of the kernel regression on test examples, the posterior mean of a Gaussian
    process with this kernel, shape (test examples, outputs). `results.json` holds the file name,
    `arrays/NAME.predictions.zarr`."""
    noise: float | None = None
    """Variance of the noise that the regression assumes of each target: `ridge` times the mean
    diagonal entry of the kernel, in squared units of the targets."""
    std: Array | None = None
    """Posterior standard deviation of the outputs on each test example, without the noise and the
    same for every output, shape (test examples,). `results.json` holds the file name,
    `arrays/NAME.std.zarr`."""
    test_stddev: float | None = None
    """Root mean square of `std`, in units of the targets."""
    test_nll: float | None = None
    """Negative log likelihood of the test targets under the posterior with the noise, the mean over
    test examples and outputs, in nats."""
    test_coverage_50: float | None = None
    """Fraction of test targets within the central 50 % intervals of the posterior with the noise;
    0.5 if it is calibrated. For targets that are no classes."""
    test_coverage_90: float | None = None
    """Fraction of test targets within the central 90 % intervals of the posterior with the noise;
    0.9 if it is calibrated. For targets that are no classes."""
    probabilities: Array | None = None
    """Probability of each class on test examples: that its output is the largest under the
    posterior with the noise, or of two signed classes that the output is below or above 0, shape
    (test examples, classes). `results.json` holds the file name, `arrays/NAME.probabilities.zarr`.
    """
    test_log_loss: float | None = None
    """Mean over test examples of minus the log of the `probabilities` of the true class, in
    nats."""
    test_calibration_error: float | None = None
    """Expected calibration error of the `probabilities` on test examples, with 15 bins: the mean
    distance between confidence and accuracy, from 0 to 1."""
    posterior: OutputProfile | None = None
    """Predictions and `std` over the input, with `ridge`; if there is one input, or two that lie on
    a circle, and the targets are no classes."""
    profile: Profile | None = None
    """One row of a kernel over a `circle`: the row of the middle point."""

    def columns(self) -> "dict[str, np.ndarray]":
        """Return the eigenmodes with the learning curve, or else the profile of a kernel over the
        circle, as columns.
        """
        import numpy as np

        if self.curve is not None or self.profile is None:
            return super().columns()
        return {key: np.array(column) for key, column in self.profile.items() if column is not None}

    @property
    def caution(self) -> str | None:
        if "quadrature_error" not in self:
            return None
        error = self.quadrature_error
        return kernels.inaccuracy(math.nan if error is None else error)

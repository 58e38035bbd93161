"""The result of a `flow` stage."""

from typing import Literal

from ceflow.stages.histories import DescentResult
from ceflow.stages.result import Array, Record

NTK_CHANGES = ("drift", "derivative_1", "derivative_2", "derivative_3")
"""Results that measure how much the NTK changes, which theorem 1 of CE is about."""


class Steps(Record):
    """Steps of the solver, for the replica or group of replicas that needed most."""

    accepted: int
    """Number of accepted steps."""
    rejected: int
    """Number of rejected steps, which were retried with a smaller size."""


class FlowResult(DescentResult):
    """State of a gradient flow at its end. With several replicas each number is the median over
    them.
    """

    solver: str | None
    """The solver used, which `auto` may have chosen; null for `closed-form`."""
    replicas: int
    """Number of networks drawn and followed."""
    width: int | None = None
    """Width of the sampled network (`features` only)."""
    sampling: str | None = None
    """How the weights of that network were drawn (`features` only)."""
    rtol: float | None = None
    """Relative tolerance of a step, as used; absent for `closed-form`."""
    atol: float | None = None
    """Absolute tolerance of a step, as used; absent for `closed-form`."""
    steps: Steps
    """Numbers of steps, for the replica that needed most; 0 for `closed-form`."""
    ended: str
    """Why the flow ended. `finished`: the requested time was reached; `stopped`: the requested loss
    was reached; `nan`, `step-size` or `steps`: the solver failed, by a number that is not finite, a
    step that became too small or too many steps."""
    time: float | Literal["inf"]
    """Time mu t at the end; `"inf"` if it is infinite."""
    train_stddev: float | None = None
    """Standard deviation of the training outputs over initialisations, root mean square; for an
    infinite network in closed form."""
    test_stddev: float | None = None
    """Standard deviation of the test outputs over initialisations, root mean square; for an
    infinite network in closed form."""
    drift_stderr: float | None = None
    """Standard error of the median drift over replicas; needs at least four replicas."""
    alignment: float | None = None
    """Cosine between the NTK and the kernel of the targets, Y Y^T; with `alignment`."""
    eigenvalue_max: float | None = None
    """Largest eigenvalue of the NTK of the training examples; with `spectrum`."""
    eigenvalue_min: float | None = None
    """Smallest eigenvalue of the NTK of the training examples; with `spectrum`."""
    entries: list[float | None] | None = None
    """NTK entries at the requested pairs, in their order."""
    derivative_1: float | None = None
    """Median over pairs of |dK_ij/dt|, with K the NTK at the start; with `derivatives`."""
    derivative_1_stderr: float | None = None
    """Standard error of `derivative_1`; needs at least four replicas."""
    derivative_2: float | None = None
    """Median over pairs of |d^2 K_ij/dt^2| at the start; with `derivatives`."""
    derivative_2_stderr: float | None = None
    """Standard error of `derivative_2`; needs at least four replicas."""
    derivative_3: float | None = None
    """Median over pairs of |d^3 K_ij/dt^3| at the start; with `derivatives`."""
    derivative_3_stderr: float | None = None
    """Standard error of `derivative_3`; needs at least four replicas."""
    distance: float | None = None
    """Distance of the outputs from those of the stage in `start`, relative in Frobenius norm, if
    both flows reached the same end time."""
    kernel: Array | None = None
    """NTK of the training examples at each moment, for the first network, shape (moments, N, N);
    with `kernel`. `results.json` holds the file name."""
    std: Array | None = None
    """Standard deviation over initialisations of the output of each example, in the units of the
    outputs and the same for each of them, training examples first, shape (examples,); with
    `predictions` at each moment, shape (moments, examples). For an infinite network in closed form.
    `results.json` holds the file name, `arrays/NAME.std.zarr`."""
    covariance: Array | None = None
    """Covariance of the test outputs at the end, for an infinite network in closed form.
    `results.json` holds the file name."""

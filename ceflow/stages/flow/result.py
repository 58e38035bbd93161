"""What a `flow` stage found."""

from typing import Literal

from ceflow.stages.histories import DescentResult
from ceflow.stages.result import Array, Record

MOVES = ("drift", "derivative_1", "derivative_2", "derivative_3")
"""Results that theorem 1 of CE is about."""


class Steps(Record):
    """Steps of the solver, of the replica or group of replicas that took most."""

    accepted: int
    """Those made."""
    rejected: int
    """Those tried again, smaller."""


class FlowResult(DescentResult):
    """Where a gradient flow came to; of replicas the median of each number.

    `predictions` of several replicas are (replicas, examples, outputs).
    """

    solver: str | None
    """Of the differential equation; none takes part in a closed form."""
    replicas: int
    """Networks drawn and followed."""
    width: int | None = None
    """Of the network that a bottleneck's functions were sampled from."""
    sampling: str | None = None
    """How that was drawn: iid or quasi-random."""
    rtol: float | None = None
    """The relative tolerance of a step."""
    atol: float | None = None
    """The absolute tolerance of a step."""
    steps: Steps
    """0 of a closed form."""
    ended: str
    """finished; stopped, at the loss asked for; or why it failed: nan, step-size, steps."""
    time: float | Literal["inf"]
    """The last, mu t."""
    test_stddev: float | None = None
    """Of a trained Gaussian process the root of the mean variance on test examples."""
    drift_stderr: float | None = None
    """The standard error of the drift's median over replicas."""
    alignment: float | None = None
    """The cosine between the NTK and the kernel of the targets, Y Y^T."""
    eigenvalue_max: float | None = None
    """Of the NTK of the training examples."""
    eigenvalue_min: float | None = None
    """The smallest one."""
    entries: list[float | None] | None = None
    """Of the NTK, at the pairs asked for."""
    derivative_1: float | None = None
    """The median over pairs of |dK_ij/dt| at the start."""
    derivative_1_stderr: float | None = None
    """Its standard error over replicas."""
    derivative_2: float | None = None
    """The same of the second derivative."""
    derivative_2_stderr: float | None = None
    """Its standard error."""
    derivative_3: float | None = None
    """The same of the third."""
    derivative_3_stderr: float | None = None
    """Its standard error."""
    distance: float | None = None
    """Of the predictions from those of the stage `start`, relative in Frobenius norm."""
    kernel: Array | None = None
    """The NTK of the training examples at each moment, of the first network: (times, n, n)."""
    covariance: Array | None = None
    """Of the outputs on test examples at the end, of a trained Gaussian process."""

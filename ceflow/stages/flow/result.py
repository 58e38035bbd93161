"""The result of a `flow` stage."""

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
    """As used: what `auto` stood for; null of `closed-form`."""
    replicas: int
    """Networks drawn and followed."""
    width: int | None = None
    """Of the network that was drawn for its functions, under the engine `features`."""
    sampling: str | None = None
    """How that was drawn."""
    rtol: float | None = None
    """The relative tolerance of a step, as used; a closed form has none."""
    atol: float | None = None
    """The absolute tolerance of a step, as used; a closed form has none."""
    steps: Steps
    """How many there were, of the replica that took most; 0 of a closed form."""
    ended: str
    """`finished`; `stopped` at the loss asked for; or why it could not go on: `nan`, `step-size` or
    `steps`."""
    time: float | Literal["inf"]
    """The moment it ended, mu t; `"inf"` where that is infinite."""
    test_stddev: float | None = None
    """The standard deviation of outputs on test examples over initialisations, root mean square; of
    an infinite network in closed form."""
    drift_stderr: float | None = None
    """The standard error of the drift's median over replicas; of four replicas or more."""
    alignment: float | None = None
    """The cosine between the NTK and the kernel of the targets, Y Y^T; with `alignment`."""
    eigenvalue_max: float | None = None
    """The largest eigenvalue of the NTK of the training examples; with `spectrum`."""
    eigenvalue_min: float | None = None
    """The smallest one; with `spectrum`."""
    entries: list[float | None] | None = None
    """The NTK at the pairs asked for, in their order."""
    derivative_1: float | None = None
    """The median over pairs of |dK_ij/dt|, K the NTK at the start; with `derivatives`."""
    derivative_1_stderr: float | None = None
    """Its standard error; of four replicas or more."""
    derivative_2: float | None = None
    """The same of the second derivative."""
    derivative_2_stderr: float | None = None
    """Its standard error; of four replicas or more."""
    derivative_3: float | None = None
    """The same of the third."""
    derivative_3_stderr: float | None = None
    """Its standard error; of four replicas or more."""
    distance: float | None = None
    """Of the outputs from those of the stage in `start` at the same time, relative in Frobenius
    norm; where both came to the same end."""
    kernel: Array | None = None
    """The NTK of the training examples at each moment, of the first network, (moments, N, N); with
    `kernel`. In `results.json` where it is."""
    covariance: Array | None = None
    """The covariance of outputs on test examples at the end; of an infinite network in closed form.
    In `results.json` where it is."""

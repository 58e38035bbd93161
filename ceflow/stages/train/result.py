"""The result of a `train` stage."""

from typing import Literal

from ceflow.stages.histories import DescentResult
from ceflow.stages.result import Array, Record

Rate = float | Literal["inf"] | None
"""A learning rate; `"inf"` if no output can change, so that every rate is stable."""


class Rates(Record):
    """Learning rates of the two halves."""

    encoder: Rate
    """Learning rate of the encoder's weights."""
    decoder: Rate
    """Learning rate of the decoder's weights."""


class TrainResult(DescentResult):
    """State of a training at its end. With several replicas each number is the mean over them."""

    width: int | None = None
    """Width of the network sampled to initialise the training; in function space."""
    sampling: str | None = None
    """How the weights of that network were drawn; in function space."""
    recipe: dict[str, str] | None = None
    """How the training went, in words, as the report says it: its loss, optimiser, schedule, and
    what else is set."""
    parameters: int | None = None
    """Number of parameters of a network; of finite networks."""
    flops: int | None = None
    """FLOPs of a network's forward pass of one example, where they are known; of finite
    networks."""
    optimizer: str | None = None
    """The optimiser; of finite networks."""
    replicas: int | None = None
    """Number of networks drawn and trained; of finite networks."""
    together: int | None = None
    """Number of replicas that were trained together, if not all were: those whose weights and
    values take at most 64 MiB on a CPU, or 1 GiB on other devices. The numbers are the same."""
    batch: int
    """Number of examples per step, as used."""
    learning_rate: Rate | Rates
    """Learning rate of the steps; a table if each half has its own."""
    largest_learning_rate: Rate | Rates = None
    """Largest stable learning rate at the start, in the same form; `"inf"` if no output can change.
    Of finite networks, if it was needed, for the first replica."""
    rate_examples: int | None = None
    """Number of training examples by whose NTK that rate was found; if it is below `batch`, the
    largest eigenvalue was scaled in proportion. Of finite networks."""
    steps: int
    """Number of steps done; for an unstable training, those up to the last moment at which it was
    stable."""
    ended: str
    """Why the training ended. `steps`: all steps were done; `stop`: the requested loss was reached;
    `unstable`: the loss diverged."""
    train_top5: float | None = None
    """Fraction of training examples whose class is among the five largest outputs; with `top-5`."""
    test_top5: float | None = None
    """Fraction of test examples whose class is among the five largest outputs; with `top-5`."""
    alignment: float | None = None
    """Cosine between the NTK of the first 100 training examples and the kernel of the targets,
    Y Y^T; with `alignment`."""
    eigenvalue_max: float | None = None
    """Largest eigenvalue of the NTK of the first 100 training examples; with `spectrum`."""
    eigenvalue_min: float | None = None
    """Smallest eigenvalue of the NTK of the first 100 training examples; with `spectrum`."""
    train_loss_stderr: float | None = None
    """Standard error of `train_loss` over the replicas; this and those below with several."""
    test_loss_stderr: float | None = None
    """Standard error of `test_loss`."""
    train_accuracy_stderr: float | None = None
    """Standard error of `train_accuracy`."""
    test_accuracy_stderr: float | None = None
    """Standard error of `test_accuracy`."""
    train_top5_stderr: float | None = None
    """Standard error of `train_top5`."""
    test_top5_stderr: float | None = None
    """Standard error of `test_top5`."""
    drift_stderr: float | None = None
    """Standard error of `drift`."""
    drift_relative_stderr: float | None = None
    """Standard error of `drift_relative`."""
    alignment_stderr: float | None = None
    """Standard error of `alignment`."""
    eigenvalue_max_stderr: float | None = None
    """Standard error of `eigenvalue_max`."""
    eigenvalue_min_stderr: float | None = None
    """Standard error of `eigenvalue_min`."""
    weights: str | None = None
    """File of the trained networks in inference mode, `models/NAME.eqx`, as
    `equinox.tree_serialise_leaves` writes them; several are stacked."""
    inputs: str | None = None
    """File that says how the inputs of the trained networks were prepared, and names the classes,
    `models/NAME.inputs.json`; of finite networks."""
    curves: Array | None = None
    """Every recorded number of every replica, shape (columns, moments, replicas), with several
    replicas. `results.json` holds the file name, `arrays/NAME.curves.zarr`."""
    curve_columns: list[str] | None = None
    """Names of the columns of `curves`."""
    predictions: Array | None = None  # pyright: ignore[reportIncompatibleVariableOverride]
    """Outputs on all examples, as of a flow. Of streamed examples they are kept if they take at
    most 64 MiB, or are recorded."""
    embedding: Array | None = None
    """Values in the bottleneck at each moment, shape (moments, examples, size); with `embedding`.
    `results.json` holds the file name."""

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
    """State of a training at its end."""

    width: int
    """Width of the network sampled to initialise the training."""
    sampling: str
    """How the weights of that network were drawn."""
    batch: int
    """Number of examples per step, as used."""
    learning_rate: Rate | Rates
    """Learning rate of the steps; a table if each half has its own."""
    largest_learning_rate: Rate | Rates
    """Largest stable learning rate at the start, in the same form; `"inf"` if no output can
    change."""
    steps: int
    """Number of steps done; for an unstable training, those up to the last moment at which it was
    stable."""
    ended: str
    """Why the training ended. `steps`: all steps were done; `stop`: the requested loss was reached;
    `unstable`: the loss diverged."""
    embedding: Array | None = None
    """Values in the bottleneck at each moment, shape (moments, examples, size); with `embedding`.
    `results.json` holds the file name."""

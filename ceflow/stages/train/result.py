"""What a `train` stage found."""

from typing import Literal

from ceflow.stages.histories import DescentResult
from ceflow.stages.result import Array, Record

Rate = float | Literal["inf"] | None
"""A learning rate; where nothing can move any is stable."""


class Rates(Record):
    """Learning rates of the two halves."""

    encoder: Rate
    """Of the encoder's weights."""
    decoder: Rate
    """Of the decoder's weights."""


class TrainResult(DescentResult):
    """Where a training came to."""

    width: int
    """Of the network that the bottleneck's functions were sampled from."""
    sampling: str
    """How that was drawn: iid or quasi-random."""
    batch: int
    """Examples of a step."""
    learning_rate: Rate | Rates
    """Of the steps; where the halves have rates of their own, both."""
    largest_learning_rate: Rate | Rates
    """The largest stable one at the start."""
    steps: int
    """How many were made until the last moment."""
    ended: str
    """steps: all were made; stop: the loss asked for was reached; unstable: it grew."""
    embedding: Array | None = None
    """The values in the bottleneck at each moment: (moments, examples, size)."""

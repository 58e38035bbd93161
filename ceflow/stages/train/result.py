"""The result of a `train` stage."""

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
    """Of the network that was drawn for the initial functions."""
    sampling: str
    """How that was drawn."""
    batch: int
    """Examples of a step, as used."""
    learning_rate: Rate | Rates
    """The rate of the steps; with a rate for each half a table."""
    largest_learning_rate: Rate | Rates
    """The largest stable one at the start, in the same form; `"inf"` where no output can move."""
    steps: int
    """How many steps the values are after: of an unstable training those to the last moment before
    it was."""
    ended: str
    """`steps`: all of them were done; `stop`: the loss asked for was reached; `unstable`: the loss
    grew without bound."""
    embedding: Array | None = None
    """The values in the bottleneck at each moment, (moments, examples, size); with `embedding`. In
    `results.json` where they are."""

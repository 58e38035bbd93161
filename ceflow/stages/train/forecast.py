"""The forecast of a train stage."""

import math
from dataclasses import dataclass
from functools import cached_property

from ceflow.bottlenecks.budget import CHUNK, LARGE, MEMORY, PAST, ROWS
from ceflow.compiler import Plan
from ceflow.costs import Work
from ceflow.spec import Bottleneck, Circle, Model, Train
from ceflow.stages.stage import Forecast, number_size

LOADING = 1.0
"""Seconds to read the data, and to write arrays."""

COMPILATIONS = 25
"""Small functions' worth of compiling."""

PAIR = 100
"""Bytes of traffic that a pair of a point and a past point costs as much as."""


@dataclass(frozen=True)
class Sizes:
    """The sizes of everything in a training, in numbers."""

    stage: Train
    plan: Plan
    model: Bottleneck

    @cached_property
    def number(self) -> int:
        """Bytes of a number."""
        return number_size(self.plan)

    @cached_property
    def train(self) -> int:
        assert self.plan.data is not None
        return self.plan.data.train

    @cached_property
    def examples(self) -> int:
        """Training and test examples."""
        assert self.plan.data is not None
        return self.train + self.plan.data.test

    @cached_property
    def batch(self) -> int:
        return self.stage.batch or self.train

    @cached_property
    def steps(self) -> int:
        return self.stage.steps_of(self.train)

    @cached_property
    def moments(self) -> int:
        return self.stage.moments_in(self.steps)

    @cached_property
    def infinite(self) -> bool:
        """True where the bottleneck is."""
        return self.model.size == math.inf

    @cached_property
    def hidden(self) -> int:
        """Units of the decoder that moves."""
        return 0 if self.infinite else self.stage.width

    @cached_property
    def state(self) -> int:
        """The size of an example whose path is followed: its place in the bottleneck, or output."""
        return self.plan.outputs if self.infinite else int(self.model.size)

    @cached_property
    def decoder(self) -> int:
        """Weights of the sampled one."""
        return self.stage.width * (self._bottleneck + self.plan.outputs)

    @cached_property
    def encoder(self) -> int:
        """Weights of the sampled one."""
        n, layers = self.stage.width, len(self.model.encoder.widths)
        return n * (self.plan.inputs + (layers - 1) * n + self._bottleneck)

    @cached_property
    def _bottleneck(self) -> int:
        return LARGE if self.infinite else int(self.model.size)

    @cached_property
    def theta(self) -> int:
        """Pairs of a training example with any."""
        return self.train * self.examples

    @cached_property
    def kept(self) -> bool:
        """True where Theta is kept; else its rows are made as they are needed."""
        return self.theta * self.number <= MEMORY

    @cached_property
    def past(self) -> int:
        """Points at which the decoder is trained, where all are kept."""
        return self.steps * self.batch if self.stage.engine_of(self.model) == "history" else 0

    @cached_property
    def embedding(self) -> int:
        """The size of the values in the bottleneck at all moments, where they are recorded."""
        asked = "embedding" in self.stage.record
        return self.moments * self.state * self.examples if asked else 0


def forecast(stage: Train, plan: Plan, model: Model) -> Forecast:
    """Count Theta, kept or made row by row; the sampled network; the state; what is recorded."""
    assert isinstance(model, Bottleneck), "the spec lets nothing else be trained"
    sizes = Sizes(stage, plan, model)
    disk = sizes.number * (sizes.examples * plan.outputs + sizes.embedding)
    instead = "" if stage.batch else "set batch, for steps on fewer examples"
    return Forecast(_memory(sizes), disk, _key(sizes), _work(sizes), instead)


def _memory(sizes: Sizes) -> float:
    """Count the bytes of the phase that needs most: Theta being made, the training."""
    plan, number = sizes.plan, sizes.number
    theta = number * sizes.theta if sizes.kept else 0
    making = 2 * theta + 3 * number * sizes.encoder  # its generator's bits and numbers
    rates = 8 * 4 * sizes.batch * (sizes.batch + plan.outputs * sizes.state)
    training = theta + number * (_moving(sizes) + _passing(sizes)) + rates
    inputs = (2 * 8 + 4 * number) * sizes.examples * plan.inputs  # as compared
    sampled = number * (sizes.encoder + sizes.decoder)
    return inputs + sampled + max(making, training)


def _moving(sizes: Sizes) -> float:
    """Count the numbers of the state before and after steps, of the weights' changes, and of what
    is recorded."""
    outputs = sizes.plan.outputs
    return (
        (4 * sizes.state + 2 * outputs) * sizes.examples
        + (0 if sizes.infinite else 5 * sizes.decoder)
        + 4 * sizes.past * (sizes.state + outputs)
        + 2 * sizes.embedding
    )


def _passing(sizes: Sizes) -> float:
    """Count the numbers of rows of Theta, and of the hidden layer of a batch or of what is looked
    at."""
    rows = max(5 * ROWS / sizes.number, 3 * sizes.batch * sizes.examples)
    outputs = sizes.plan.outputs if sizes.past else 1  # whose slopes are held
    hidden = 3 * max(CHUNK, outputs * sizes.batch) * sizes.hidden
    return rows + hidden + (6 * CHUNK * PAST if sizes.past else 0)


def _key(sizes: Sizes) -> str:
    """Name what takes most, roughly."""
    stage, outputs = sizes.stage, sizes.plan.outputs
    examples = "data.points" if isinstance(sizes.plan.document.data, Circle) else "data.train"
    stored = sizes.theta if sizes.kept else sizes.examples * sizes.plan.inputs
    passing = 3 * sizes.batch * (sizes.examples + sizes.hidden)
    takes = {
        "width": sizes.encoder + 6 * sizes.decoder + 3 * CHUNK * sizes.hidden,
        "epochs" if stage.steps is None else "steps": 4 * sizes.past * (sizes.state + outputs),
        "moments" if stage.moments else "points": 2 * sizes.embedding,
        "batch": passing if stage.batch else 0,
        examples: stored if stage.batch else stored + passing,
    }
    return max(takes, key=lambda key: takes[key])


def _work(sizes: Sizes) -> Work:
    """Count rows of Theta; the decoder, forward on what is looked at and back on batches; all
    points moved in each step; of an engine that keeps its past all pairs with it."""
    plan, passed = sizes.plan, sizes.steps * sizes.batch
    rows = sizes.theta if sizes.kept else passed * sizes.examples
    layers = len(sizes.model.encoder.widths) + sizes.infinite
    looks = (sizes.moments + 2) * sizes.examples
    pairs = sizes.past * (sizes.past / 2 + looks)
    through, width = passed + looks, sizes.state + plan.outputs
    flops = (
        2 * rows * plan.inputs
        + 2 * sizes.examples * sizes.encoder
        + 6 * through * sizes.hidden * width
        + 2 * passed * sizes.examples * sizes.state
        + 4 * pairs * sizes.state * (1 + plan.outputs)
    )
    moved = sizes.decoder + 2 * sizes.state * sizes.examples
    traffic = 30 * layers * rows + 8 * through * sizes.hidden + 4 * sizes.steps * moved
    return Work(
        flops=flops,
        traffic=sizes.number * traffic + PAIR * pairs,
        normals=sizes.encoder + sizes.decoder,
        compilations=COMPILATIONS,
        seconds=LOADING,
    )

"""How much there is of everything in a training, counted before it."""

import math
from dataclasses import dataclass
from functools import cached_property

from ceflow.bottlenecks.budget import LARGE, MEMORY
from ceflow.compiler import Plan
from ceflow.spec import Bottleneck, Train
from ceflow.stages.stage import number_size


@dataclass(frozen=True)
class Sizes:
    """Of one training, in numbers."""

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
        """Whether the bottleneck is."""
        return self.model.size == math.inf

    @cached_property
    def hidden(self) -> int:
        """Units of the decoder that moves."""
        return 0 if self.infinite else self.stage.width

    @cached_property
    def state(self) -> int:
        """Of an example whose path is followed: its place in the bottleneck, or its outputs."""
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
        """Whether Theta is, or its rows are made as they are needed."""
        return self.theta * self.number <= MEMORY

    @cached_property
    def past(self) -> int:
        """Points at which the decoder is trained, where all are kept."""
        return self.steps * self.batch if self.stage.engine_of(self.model) == "history" else 0

    @cached_property
    def embedding(self) -> int:
        """What is recorded of the values in the bottleneck."""
        asked = "embedding" in self.stage.record
        return self.moments * self.state * self.examples if asked else 0

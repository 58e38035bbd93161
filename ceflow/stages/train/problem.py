"""The problem of a train stage: examples, initial functions, batches, learning rates."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ceflow import bottlenecks, data
from ceflow.spec import LearningRates, Train
from ceflow.stages.descents import simulated
from ceflow.stages.stage import Job

if TYPE_CHECKING:
    from ceflow.bottlenecks import Batches, Rates, Simulation


@dataclass(frozen=True)
class TrainProblem:
    """A job with its examples. Use it only within `ceflow.stages.stage.precision`."""

    job: Job
    dataset: data.Dataset

    @property
    def stage(self) -> Train:
        return self.job.stage

    @property
    def engine(self) -> str:
        return self.stage.engine_of(self.job.model)

    @property
    def train(self) -> int:
        """Number of training examples."""
        return len(self.dataset.train.x)

    @property
    def steps(self) -> int:
        return self.stage.steps_of(self.train)

    @cached_property
    def batches(self) -> "Batches":
        size = self.stage.batch or self.train
        return bottlenecks.Batches(self.train, size, self.job.seed.fold("batches"))

    @cached_property
    def simulation(self) -> "Simulation":
        return simulated(
            self.stage,
            self.job.model,
            self.dataset,
            self.job.seed.fold(0),
            engine="history" if self.engine == "history" else "features",
            rate_factors=self.rate_factors,
        )

    @property
    def rate_factors(self) -> "Rates":
        """Factors of the learning rate for encoder and decoder; the larger is 1."""
        encoder, decoder = self.stage.halves or (1.0, 1.0)
        return bottlenecks.Rates(encoder, decoder).times(1 / max(encoder, decoder))

    @cached_property
    def largest(self) -> float:
        """Largest stable learning rate at the start."""
        return self.simulation.largest_rate(self.batches)

    @cached_property
    def rate(self) -> float:
        """Learning rate; of two, the larger. If no output can change, any rate is stable."""
        given = self.stage.learning_rate
        if not isinstance(given, LearningRates):
            return given
        if given.relative is None:
            return max(self.stage.halves or ())
        return given.relative * (self.largest if self.largest < math.inf else 1.0)

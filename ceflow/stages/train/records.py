"""What is recorded of finite networks in training, for each replica.

Loads JAX: imported only when a stage runs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from ceflow import training
from ceflow.compiler.programs import program
from ceflow.kernels import empirical_ntk
from ceflow.stages.descents import losses_and_accuracies
from ceflow.stages.histories import MOST_FOLLOWED
from ceflow.stages.ntk import NtkRecorder
from ceflow.stages.result import Values
from ceflow.stages.stage import finite
from ceflow.stages.train.networks import NetworkProblem
from ceflow.training import Diverging, Network, Replicas

Numbers = dict[str, Float[np.ndarray, " replicas"]]
"""The numbers of each replica at one moment, by column."""

TOP = 5
"""Number of classes among which that of an example must be, for the top-5 accuracy."""


class Recorder:
    """Computes the numbers of each moment, and keeps them with the arrays."""

    def __init__(self, problem: NetworkProblem):
        self.problem = problem
        self.numbers: list[Numbers] = []
        """Numbers at each moment."""
        self.every: list[Float[np.ndarray, "replicas m outputs"]] = []
        """Outputs on all examples at each moment, if they are recorded."""
        self.outputs: Float[np.ndarray, "replicas m outputs"] | None = None
        """Outputs on all examples, at the last moment."""
        self._ntk = NtkRecorder(
            self._kernels,
            problem.stage.record,
            problem.dataset.train.y,
            min(MOST_FOLLOWED, problem.train),
        )
        self.reference: Float[np.ndarray, " replicas"] = np.array([])
        """Mean loss of a training example at the start."""

    def begin(self, start: Replicas) -> None:
        """Measure the start, from which drifts and divergence are told."""
        weight = self.problem.loss.weight(self.problem.train)
        losses = self._losses(self.problem.outputs(start))["train_loss"]
        self.reference = losses / (weight * self.problem.train)
        self._ntk(start)

    def __call__(self, step: int, replicas: Replicas) -> Values:
        """Record a moment. Raises `Diverging` if a training loss is not finite, unless it is the
        first moment.
        """
        problem = self.problem
        outputs = self.problem.outputs(replicas)
        numbers = self._losses(outputs)
        if self.numbers and not np.isfinite(numbers["train_loss"]).all():
            raise Diverging("a training loss is not finite")
        if "top-5" in problem.stage.record:
            numbers |= self._top(outputs)
        arrays = self._ntk(replicas)
        if "drift" in problem.stage.record:
            numbers["drift"] = self._ntk.drift(arrays.pop("entries"))
        numbers |= arrays
        self.numbers.append(numbers)
        self.outputs = outputs
        if self.keeps_all:
            self.every.append(outputs)
        problem.job.recorded(numbers["train_loss"])
        return line_of(numbers)

    @property
    def keeps_all(self) -> bool:
        """True if the outputs of every moment are kept."""
        return "predictions" in self.problem.stage.record

    @property
    def predictions(self) -> Float[np.ndarray, "... m outputs"]:
        """Outputs at the last moment, or at each moment if they are recorded; those of a single
        network are not stacked.
        """
        assert self.outputs is not None, "the end is recorded"
        found = np.stack(self.every) if self.every else self.outputs
        return found if self.problem.stage.replicas > 1 else np.squeeze(found, axis=-3)

    def _losses(self, outputs: np.ndarray) -> Numbers:
        problem = self.problem
        found = losses_and_accuracies(problem.job.plan, problem.loss, problem.dataset, outputs)
        return {key: np.asarray(each, float) for key, each in found.items()}

    def _top(self, outputs: np.ndarray) -> Numbers:
        dataset, count = self.problem.dataset, self.problem.train
        parts = {"train": (outputs[:, :count], dataset.train.y)}
        if len(dataset.test.x):
            parts["test"] = (outputs[:, count:], dataset.test.y)
        return {
            f"{part}_top5": np.array([training.top_accuracy(one, y, TOP) for one in predicted])
            for part, (predicted, y) in parts.items()
        }

    def _kernels(self, replicas: Replicas, examples: Int[np.ndarray, " k"]) -> np.ndarray:
        points, outputs = self.problem.x[examples], self.problem.dataset.train.y.shape[1]
        return np.asarray(_kernels(self.problem.network, replicas.kept, points)) / outputs


@program
def _kernels(network: Network, kept: Any, points: Any) -> Any:
    """Compute the trace over outputs of the NTK of each replica, one after the other."""

    def one(each: Any) -> Any:
        return empirical_ntk(network.module(*each), points, trace=True)

    return jax.lax.map(one, kept)


def line_of(numbers: Mapping[str, Float[np.ndarray, " replicas"]]) -> Values:
    """Return the mean over replicas of each number; with several, its standard error too.

    >>> line_of({"train_loss": np.array([1.0, 3.0])})
    {'train_loss': 2.0, 'train_loss_stderr': 1.0}
    """
    line: Values = {}
    for key, each in numbers.items():
        line[key] = finite(each.mean())
        if len(each) > 1:
            line[f"{key}_stderr"] = finite(each.std(ddof=1) / len(each) ** 0.5)
    return line


def curves(numbers: Sequence[Numbers]) -> Float[np.ndarray, "columns moments replicas"]:
    """Stack the numbers of all moments and replicas, by column."""
    return np.array([[moment[key] for moment in numbers] for key in numbers[0]])

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
from ceflow.dynamics import Loss
from ceflow.kernels import empirical_ntk
from ceflow.stages.descents import by_part, loss_and_accuracy
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
        """Outputs on all examples, at the last moment; None if they are not kept."""
        self.begun: Float[np.ndarray, " replicas"] | float = 0.0
        """Mean loss of the first batch of each replica, before its step."""
        count = min(MOST_FOLLOWED, problem.train)
        first = problem.examples.some(np.arange(count)).y
        self._ntk = NtkRecorder(self._kernels, problem.stage.record, first, count)

    def resume(self, start: Replicas, numbers: list[Numbers]) -> None:
        """Go on after moments with these numbers, of a training from this start."""
        self.numbers = numbers
        self._ntk(start)

    @property
    def reference(self) -> Float[np.ndarray, " replicas"]:
        """Mean loss of a training example of each replica at the start, which is recorded first.
        Batch normalisation may make that of the first batch larger, which then counts.
        """
        return np.maximum(self._means(self.numbers[0]), self.begun)

    def begin(self, losses: Float[np.ndarray, " replicas"]) -> None:
        """Take note of the mean losses of the first batches, before any step."""
        self.begun = np.where(np.isfinite(losses), losses, 0.0)

    def _means(self, numbers: Numbers) -> Float[np.ndarray, " replicas"]:
        """Return the mean loss of a training example of each replica."""
        count, outputs = self.problem.train, self.problem.job.plan.outputs
        return numbers["train_loss"] / (self.problem.loss.weight(count, outputs) * count)

    def __call__(self, step: int, replicas: Replicas) -> Values:
        """Record a moment. Raises `Diverging` if a training loss is not finite, or has grown as one
        of a batch must not, unless it is the first moment.

        With batch normalisation it may grow: the running statistics, which it rests on and a batch
        does not, are behind the weights in the first steps.
        """
        problem = self.problem
        numbers, outputs = self._measured(replicas)
        means = self._means(numbers)[None]
        if self.numbers:
            finite = np.full_like(means[0], np.finfo(np.float32).max)
            reference = finite if problem.job.model.has_batch_norm else self.reference
            if trouble := training.grown(means, reference, step):
                raise Diverging(trouble)
        arrays = self._ntk(replicas)
        if "drift" in problem.stage.record:
            numbers["drift"] = self._ntk.drift(arrays.pop("entries"))
        numbers |= arrays
        self.numbers.append(numbers)
        self.outputs = outputs
        if self.keeps_all and outputs is not None:
            self.every.append(outputs)
        problem.job.recorded(numbers["train_loss"])
        return line_of(numbers)

    @property
    def keeps_all(self) -> bool:
        """True if the outputs of every moment are kept."""
        return "predictions" in self.problem.stage.record

    @property
    def predictions(self) -> Float[np.ndarray, "... m outputs"] | None:
        """Outputs at the last moment, or at each moment if they are recorded; those of a single
        network are not stacked. None if they are not kept.
        """
        if self.outputs is None:
            return None
        found = np.stack(self.every) if self.every else self.outputs
        return found if self.problem.stage.replicas > 1 else np.squeeze(found, axis=-3)

    def _measured(self, replicas: Replicas) -> tuple[Numbers, np.ndarray | None]:
        """Compute losses and accuracies block by block, and join the outputs if they are kept."""
        several: dict[str, list[tuple[int, Numbers]]] = {}
        kept = []
        for outputs, block in self.problem.evaluated(replicas):
            for part, (rows, targets) in block.parts.items():
                found = self._of_block(outputs[:, rows], targets)
                several.setdefault(part, []).append((len(targets), found))
                kept += [outputs[:, rows]] if self.problem.keeps_outputs else []
        loss = self.problem.loss
        numbers = by_part({part: joined(each, loss) for part, each in several.items()})
        return numbers, np.concatenate(kept, axis=1) if kept else None

    def _of_block(self, outputs: np.ndarray, targets: np.ndarray) -> Numbers:
        problem = self.problem
        found = loss_and_accuracy(problem.job.plan, problem.loss, outputs, targets)
        if "top-5" in problem.stage.record:
            each = [training.top_accuracy(one, targets, TOP) for one in outputs]
            found["top5"] = np.array(each)
        return {key: np.asarray(each, float) for key, each in found.items()}

    def _kernels(self, replicas: Replicas, examples: Int[np.ndarray, " k"]) -> np.ndarray:
        points, outputs = self.problem.points(examples), self.problem.job.plan.outputs
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


def joined(blocks: Sequence[tuple[int, Numbers]], loss: Loss) -> Numbers:
    """Join the numbers of blocks of examples, whose sizes are given, to those of all of them.

    >>> from ceflow.dynamics import SquaredError
    >>> one = {"loss": np.array([4.0]), "accuracy": np.array([1.0])}
    >>> four = {"loss": np.array([2.0]), "accuracy": np.array([0.5])}
    >>> joined([(1, one), (4, four)], SquaredError())
    {'loss': array([6.]), 'accuracy': array([0.6])}
    >>> joined([(1, one), (4, four)], SquaredError("mean"))["loss"]
    array([2.4])
    """
    if len(blocks) == 1:
        return blocks[0][1]
    count = sum(size for size, _ in blocks)

    def whole(key: str) -> Float[np.ndarray, " replicas"]:
        if key == "loss":
            # the number of outputs is that of every block, and cancels
            summed = sum(found[key] / loss.weight(size, 1) for size, found in blocks)
            return np.asarray(summed * loss.weight(count, 1))
        hits = sum(np.rint(found[key] * size) for size, found in blocks)
        return np.asarray(hits / count)

    return {key: whole(key) for key in blocks[0][1]}


def curves(numbers: Sequence[Numbers]) -> Float[np.ndarray, "columns moments replicas"]:
    """Stack the numbers of all moments and replicas, by column."""
    return np.array([[moment[key] for moment in numbers] for key in numbers[0]])

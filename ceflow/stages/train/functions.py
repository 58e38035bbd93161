"""Training an infinitely wide network in function space: all its steps, then the results.

Loads JAX: imported only when a stage runs.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from ceflow import bottlenecks, dynamics
from ceflow.bottlenecks import State, Training
from ceflow.bottlenecks.training.loop import Grown, is_grown
from ceflow.stages.descents import losses_and_accuracies
from ceflow.stages.histories import MOST_FOLLOWED, lacking, of_losses
from ceflow.stages.profiles import output_profile
from ceflow.stages.result import Values
from ceflow.stages.stage import Job, finite, precision, written
from ceflow.stages.train.problem import TrainProblem
from ceflow.stages.train.recipe import recipe
from ceflow.stages.train.result import Rate, Rates, TrainResult


def run(job: Job) -> TrainResult:
    """Run the training. A learning rate that is too large gives a warning, not an exception."""
    problem = TrainProblem(job, job.dataset())
    with precision(job.plan):
        recorder = Recorder(problem)
        training = _trained(problem, recorder)
        last = training.history.last
        result = TrainResult(
            engine=problem.engine,
            recipe=recipe(job.stage, job.plan, job.model),
            **of_losses(job.stage, job.plan),
            width=job.stage.width,
            sampling=job.stage.sampling,
            batch=problem.batches.size,
            learning_rate=_in_parts(problem, problem.rate),
            largest_learning_rate=_in_parts(problem, problem.largest),
            steps=last.pop("step"),
            ended=_ended(problem, training),
            predictions=recorder.predictions,
            history=training.history,
            **last,
            **_optional(problem, recorder, training),
        )
        return result.warned(*_warnings(problem, training))


class Recorder:
    """Computes the recorded numbers of each moment, and keeps the arrays."""

    outputs: Float[np.ndarray, "m outputs"]
    """Outputs on all examples, at the last moment."""

    def __init__(self, problem: TrainProblem):
        self.problem = problem
        self.points: list[Float[np.ndarray, "m d"]] = []
        """Values in the bottlenecks at each moment, if they are recorded."""
        self.every: list[Float[np.ndarray, "m outputs"]] = []
        """Outputs on all examples at each moment, if they are recorded."""
        self._kernel: Float[np.ndarray, "k k"] | None = None
        self._first: float | None = None
        """Training loss at the first moment."""

    def __call__(self, step: int, state: State) -> Values:
        """Record a moment. Raises `Grown` and keeps nothing if the training loss has grown as that
        of a batch must not, unless it is the first moment.
        """
        problem, simulation = self.problem, self.problem.simulation
        outputs = np.asarray(simulation.outputs(state))
        measured = losses_and_accuracies(
            problem.job.plan, simulation.loss, problem.dataset, outputs[None]
        )
        (loss,) = measured["train_loss"]
        if self._first is None:
            self._first = loss
        elif is_grown(loss, self._first):
            weight = simulation.loss.weight(problem.train, problem.job.plan.outputs)
            raise Grown(loss / (weight * problem.train))
        self.outputs = outputs
        problem.job.recorded(measured["train_loss"])
        if "embedding" in problem.stage.record:
            self.points.append(simulation.values(state))
        if "predictions" in problem.stage.record:
            self.every.append(self.outputs)
        line = {key: finite(each[0]) for key, each in measured.items()}
        return line | (self._drift(state) if "drift" in problem.stage.record else {})

    @property
    def predictions(self) -> Float[np.ndarray, "... m outputs"]:
        """Outputs at the last moment, or at each moment if they are recorded."""
        return np.stack(self.every) if self.every else self.outputs

    def _drift(self, state: State) -> Values:
        """Measure how far the NTK of the first training examples is from its initial value."""
        examples = np.arange(min(MOST_FOLLOWED, self.problem.train))
        now = bottlenecks.composed_ntk(self.problem.simulation, state, examples)
        start = self._kernel = now if self._kernel is None else self._kernel
        pairs = dynamics.drift_pairs(len(now))
        return {
            "drift": finite(np.median(dynamics.entry_drift(now[pairs], start[pairs]))),
            "drift_relative": finite(dynamics.relative_drift(now[None], start[None])[0]),
        }


def _optional(problem: TrainProblem, recorder: Recorder, training: Training) -> Values:
    """Return the fields that only some trainings have."""
    fields: Values = {"embedding": np.stack(recorder.points)} if recorder.points else {}
    if recorder.every and not problem.job.has_classes:
        steps = [line["step"] for line in training.history.lines()]
        x = np.concatenate([problem.dataset.train.x, problem.dataset.test.x])
        outputs = recorder.predictions[:, None]
        profile = output_profile(x, problem.dataset.train, steps, outputs)
        fields |= {"profile": profile} if profile else {}
    return fields


def _trained(problem: TrainProblem, recorder: Recorder) -> Training:
    return problem.simulation.train(
        problem.rate,
        problem.batches,
        problem.steps,
        record_at=problem.stage.moments_of(problem.steps),
        record=recorder,
        until=problem.stage.is_low,
        observe=lambda step: problem.job.progress(step, problem.steps, "steps"),
    )


def _in_parts(problem: TrainProblem, rate: float) -> Rate | Rates:
    """Return a learning rate as a result; both rates if each half has its own."""
    if problem.stage.halves is None:
        return written(rate)
    both = problem.rate_factors.times(rate)
    return Rates(encoder=written(both.encoder), decoder=written(both.decoder))


def _ended(problem: TrainProblem, training: Training) -> str:
    if training.instability:
        return "unstable"
    return "stop" if problem.stage.is_low(training.history.last) else "steps"


def _warnings(problem: TrainProblem, training: Training) -> Iterator[str]:
    yield from bottlenecks.remarks(problem.dataset.train.x, problem.dataset.train.y)
    if training.instability:
        yield training.instability.message(lambda rate: _named(problem, rate))
    yield from lacking(training.history, problem.job.plan)


def _named(problem: TrainProblem, rate: float) -> str:
    """Write a learning rate in words; both rates if each half has its own."""
    if problem.stage.halves is None:
        return f"{rate:.3g}"
    both = problem.rate_factors.times(rate)
    return f"{both.encoder:.3g} of the encoder and {both.decoder:.3g} of the decoder"

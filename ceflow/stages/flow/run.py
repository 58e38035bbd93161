"""Running the flow stage: its engine, then the results of the recording.

Loads JAX: imported only when a stage runs.
"""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from ceflow import dynamics
from ceflow.dynamics import Ending
from ceflow.history import History
from ceflow.spec import Flow
from ceflow.stages.flow.features import features
from ceflow.stages.flow.functions import closed_form, kernel
from ceflow.stages.flow.parameters import linearised, parameters
from ceflow.stages.flow.problem import FlowProblem
from ceflow.stages.flow.recording import Recording, derivatives_of, history_of
from ceflow.stages.flow.result import FlowResult
from ceflow.stages.histories import lacking, of_losses
from ceflow.stages.profiles import output_profile
from ceflow.stages.result import Values
from ceflow.stages.stage import Job, finite, precision, written

ENGINES = {
    "parameters": parameters,
    "linearised": linearised,
    "kernel": kernel,
    "closed-form": closed_form,
    "features": features,
}


def run(job: Job) -> FlowResult:
    """Run the flow. A failure of the solver is a warning, not an exception."""
    problem = FlowProblem(job, job.dataset())
    with precision(job.plan):
        recording = ENGINES[problem.engine](problem)
        history = history_of(job.stage, recording)
        result = FlowResult(
            engine=problem.engine,
            **of_losses(job.stage, job.plan),
            solver=recording.solver,
            replicas=job.stage.replicas,
            steps=recording.steps,
            ended=recording.ending.reason or recording.ending.how,
            predictions=_predictions(problem, recording),
            history=history,
            **history.last,
            **_optional(problem, recording),
        )
    return result.warned(*recording.warnings, *_trouble(problem, recording.ending, history))


def _predictions(problem: FlowProblem, recording: Recording) -> Float[np.ndarray, "... n outputs"]:
    """Return the outputs at the end, or at all moments if they are recorded; those of a single
    network are not stacked.
    """
    outputs = recording.arrays.get("predictions", recording.outputs).astype(problem.x.dtype)
    return outputs if problem.stage.replicas > 1 else np.squeeze(outputs, axis=-3)


def _optional(problem: FlowProblem, recording: Recording) -> Values:
    """Return the fields that only some flows have."""
    fields = derivatives_of(recording)
    if problem.engine == "features":
        fields |= {"width": problem.stage.width, "sampling": problem.stage.sampling}
    if recording.solver:
        fields |= problem.tolerances
    if "kernel" in recording.arrays:
        fields["kernel"] = recording.arrays["kernel"][:, 0]
    if "covariance" in recording.arrays:
        fields["covariance"] = recording.arrays["covariance"][-1, 0]
    recorded = "predictions" in recording.arrays
    std = recording.arrays["std"][:, 0] if "std" in recording.arrays else None
    if std is not None:
        fields["std"] = (std if recorded else std[-1]).astype(problem.x.dtype)
    if recorded and not problem.job.has_classes:
        outputs, train = recording.arrays["predictions"], problem.dataset.train
        x = np.concatenate([train.x, problem.dataset.test.x])[: outputs.shape[2]]
        profile = output_profile(x, train, recording.times, outputs, std)
        fields |= {"profile": profile} if profile else {}
    start = problem.job.results.get(problem.stage.start or "")
    if isinstance(start, FlowResult) and start.time == written(recording.times[-1]):
        fields["distance"] = _distance(problem, recording, _predictions_of_start(problem))
    return fields


def _predictions_of_start(problem: FlowProblem) -> Float[np.ndarray, "... m outputs"]:
    """Read the outputs at the end of the stage that drew the networks."""
    name = problem.stage.start or ""
    theirs = problem.job.directory.read_array(f"{name}.predictions")
    recorded = "predictions" in Flow.expect(problem.job.plan.document.stages[name]).record
    return theirs[-1] if recorded else theirs


def _distance(
    problem: FlowProblem, recording: Recording, theirs: Float[np.ndarray, "*replicas m outputs"]
) -> float | None:
    """Measure the distance of the outputs from those of the stage that drew the networks, relative
    in Frobenius norm: the median over replicas.
    """
    both = (recording.outputs.astype(problem.x.dtype), theirs)
    ours, theirs = (outputs.reshape(problem.stage.replicas, -1) for outputs in both)
    shared = min(ours.shape[1], theirs.shape[1])  # one of them may be on training examples only
    drifts = dynamics.relative_drift(ours[:, :shared], theirs[:, :shared])
    return finite(np.median(drifts))


def _trouble(problem: FlowProblem, ending: Ending, history: History) -> Iterator[str]:
    """Say what went wrong, and what to change."""
    if ending:
        yield from lacking(history, problem.job.plan)
    else:
        yield advised(ending, problem.stage.time)


ADVICE_WORDS = {"float64": 'precision = "float64"'}
"""Advice of `dynamics.Ending`, reworded as keys of the document."""


def advised(ending: Ending, time: float) -> str:
    """Say how far a failed integration came, why it failed, and what to change."""
    advice = [ADVICE_WORDS.get(each, each) for each in ending.advice]
    said = f"the flow ended at mu t = {ending.time:g} of {time:g}"
    return f"{said}: {ending.message}; try {' or '.join(advice)}"

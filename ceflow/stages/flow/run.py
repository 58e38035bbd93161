"""The flow stage at work: its engine, then what is kept of what it saw."""

from typing import TYPE_CHECKING

from ceflow import dynamics
from ceflow.history import History
from ceflow.stages.courses import lacking
from ceflow.stages.flow import features, functions, lines, weights
from ceflow.stages.flow.flown import Flown
from ceflow.stages.flow.problem import Problem
from ceflow.stages.result import Untyped
from ceflow.stages.stage import Job, Values, finite, precision

if TYPE_CHECKING:
    import numpy as np

    from ceflow.dynamics import Ending

ENGINES = {
    "parameters": weights.parameters,
    "linearised": weights.linearised,
    "kernel": functions.kernel,
    "closed-form": functions.closed_form,
    "features": features.features,
}


def run(job: Job) -> Untyped:
    problem = Problem(job, job.dataset())
    with precision(job.plan):
        found = ENGINES[problem.engine](problem)
        rows = lines.lines(job.stage, found)
        arrays = _arrays(problem, found)
        values = _values(problem, found, rows) | _distance(problem, arrays["predictions"])
    return Untyped(**values, **arrays, history=History.of_lines(rows))


def _values(problem: Problem, found: Flown, rows: list[Values]) -> Values:
    values: Values = {
        "engine": problem.engine,
        "solver": found.solver,
        "replicas": problem.stage.replicas,
        **_sampled(problem),
        **(problem.tolerances if found.solver else {}),
        "steps": {"accepted": found.accepted, "rejected": found.rejected},
        "ended": found.ending.reason or found.ending.how,
        **rows[-1],
        **lines.derivatives(found),
    }
    warnings = [*found.warnings, *_trouble(problem, found, rows)]
    return values | ({"warnings": warnings} if warnings else {})


def _sampled(problem: Problem) -> Values:
    """The network whose functions it started from, where it was one that was sampled."""
    if problem.engine != "features":
        return {}
    return {"width": problem.stage.width, "sampling": problem.stage.sampling}


def _trouble(problem: Problem, found: Flown, rows: list[Values]) -> list[str]:
    """What went wrong, and what to change."""
    if not found.ending:
        return [advised(found.ending, problem.stage.time)]
    return lacking(History.of_lines(rows), problem.job.plan)


NAMES = {"float64": 'precision = "float64"'}
"""Advice of `dynamics.Ending` in the language's words, where its own are others."""


def advised(ending: "Ending", time: float) -> str:
    """Of an integration through `time` that failed: how far it came, why, and what to change."""
    advice = [NAMES.get(each, each) for each in ending.advice]
    said = f"the flow ended at mu t = {ending.time:g} of {time:g}"
    return f"{said}: {ending.message}; try {' or '.join(advice)}"


def _arrays(problem: Problem, found: Flown) -> "dict[str, np.ndarray]":
    """Outputs at the end; of one network the NTK at each moment, and the covariance at the end."""
    outputs = found.outputs if problem.stage.replicas > 1 else found.outputs[0]
    arrays = {"predictions": outputs.astype(problem.x.dtype)}
    if "kernel" in found.seen:
        arrays["kernel"] = found.seen["kernel"][:, 0]
    if "covariance" in found.seen:
        arrays["covariance"] = found.seen["covariance"][-1, 0]
    return arrays


def _distance(problem: Problem, outputs: "np.ndarray") -> Values:
    """From the outputs of the stage that drew the networks, relative in Frobenius norm: the median
    over replicas."""
    import numpy as np

    start, job = problem.stage.start, problem.job
    if start is None or job.results[start]["time"] != problem.stage.time:
        return {}
    theirs = job.directory.read_array(f"{start}.predictions")
    ours = outputs.reshape(problem.stage.replicas, -1)
    theirs = theirs.reshape(problem.stage.replicas, -1)[:, : ours.shape[1]]
    return {"distance": finite(np.median(dynamics.relative_drift(ours, theirs)))}

"""The train stage at work: all its steps, then what is kept of them."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ceflow import bottlenecks
from ceflow.history import History
from ceflow.stages.courses import lacking
from ceflow.stages.result import Untyped
from ceflow.stages.stage import Job, Values, precision, written
from ceflow.stages.train.problem import Problem
from ceflow.stages.train.watching import Watch

if TYPE_CHECKING:
    import numpy as np

    from ceflow.bottlenecks import Course


def run(job: Job) -> Untyped:
    problem = Problem(job, job.dataset())
    with precision(job.plan):
        watch = Watch(problem)
        course = _trained(problem, watch)
        values, arrays = _values(problem, course), _arrays(watch)
    return Untyped(**values, **arrays, history=History.of_lines(course.records))


def _trained(problem: Problem, watch: Watch) -> "Course":
    return problem.simulation.train(
        problem.rate,
        problem.batches,
        problem.steps,
        record_at=problem.stage.moments_of(problem.steps),
        record=watch,
        until=lambda line: _is_low(problem, line),
        observe=lambda step: problem.job.progress(step, problem.steps, "steps"),
    )


def _is_low(problem: Problem, line: Values) -> bool:
    """Whether the training loss is as low as it is to be."""
    stop, loss = problem.stage.stop, line["train_loss"]
    return stop is not None and loss is not None and loss <= stop.train_loss


def _values(problem: Problem, course: "Course") -> Values:
    stage, last = problem.stage, course.records[-1]
    values: Values = {
        "engine": problem.engine,
        "width": stage.width,
        "sampling": stage.sampling,
        "batch": problem.batches.size,
        "learning_rate": _in_parts(problem, problem.rate),
        "largest_learning_rate": _in_parts(problem, problem.largest),
        "steps": last["step"],
        "ended": _ended(problem, course),
        **{key: value for key, value in last.items() if key != "step"},
    }
    warnings = list(_warnings(problem, course))
    return values | ({"warnings": warnings} if warnings else {})


def _in_parts(problem: Problem, rate: float) -> float | str | Values | None:
    """A learning rate; where the halves have rates of their own, both."""
    if problem.stage.halves is None:
        return written(rate)
    both = problem.shares.times(rate)
    return {"encoder": written(both.encoder), "decoder": written(both.decoder)}


def _ended(problem: Problem, course: "Course") -> str:
    if course.instability:
        return "unstable"
    return "stop" if _is_low(problem, course.records[-1]) else "steps"


def _warnings(problem: Problem, course: "Course") -> Iterator[str]:
    yield from bottlenecks.remarks(problem.dataset.train.x, problem.dataset.train.y)
    if course.instability:
        yield course.instability.message(lambda rate: _named(problem, rate))
    yield from lacking(History.of_lines(course.records), problem.job.plan)


def _named(problem: Problem, rate: float) -> str:
    """A learning rate in a sentence; where the halves have rates of their own, both."""
    if problem.stage.halves is None:
        return f"{rate:.3g}"
    both = problem.shares.times(rate)
    return f"{both.encoder:.3g} of the encoder and {both.decoder:.3g} of the decoder"


def _arrays(watch: Watch) -> "dict[str, np.ndarray]":
    """Outputs at the last moment; of all moments the values in the bottleneck, where asked for."""
    import numpy as np

    assert watch.outputs is not None, "the start is always recorded"
    arrays = {"predictions": watch.outputs}
    return arrays | ({"embedding": np.stack(watch.embedding)} if watch.embedding else {})

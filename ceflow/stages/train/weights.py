"""Training the weights of finite networks: all steps of all replicas, then the results.

Loads JAX: imported only when a stage runs.
"""

import io
import json
import math
from collections.abc import Iterator

import equinox as eqx
import numpy as np

from ceflow import data, training
from ceflow._interrupts import Interrupts
from ceflow.data import Dataset, Stream
from ceflow.stages.histories import lacking, of_losses
from ceflow.stages.profiles import output_profile
from ceflow.stages.result import Values
from ceflow.stages.stage import Job, precision, written
from ceflow.stages.train.checkpoints import Checkpoints
from ceflow.stages.train.examples import HeldExamples, examples_of
from ceflow.stages.train.networks import NetworkProblem
from ceflow.stages.train.recipe import recipe
from ceflow.stages.train.records import Recorder, curves
from ceflow.stages.train.result import TrainResult
from ceflow.training import Descended, Divergence, Reached


def run(job: Job) -> TrainResult:
    """Run the training. A divergence gives a warning, not an exception."""
    problem = NetworkProblem(job, examples_of(job))
    with precision(job.plan):
        recorder = Recorder(problem)
        descended = _trained(problem, recorder)
        last = descended.history.last
        file, inputs = job.directory.model_name(job.name), job.directory.inputs_name(job.name)
        result = TrainResult(
            engine=job.stage.engine_of(job.model),
            recipe=recipe(job.stage, job.plan, job.model),
            **of_losses(job.stage, job.plan),
            **_counts(job),
            optimizer=job.stage.optimizer,
            replicas=job.stage.replicas,
            batch=problem.batch,
            learning_rate=written(problem.rate),
            steps=last.pop("step"),
            ended=_ended(problem, descended),
            weights=file,
            inputs=inputs,
            contents={
                file: _weights(problem, descended),
                inputs: _inputs(job, problem.examples.source).encode(),
            },
            history=descended.history,
            **last,
            **_optional(problem, recorder, descended),
        )
        return result.warned(*_warnings(problem, descended))


def _counts(job: Job) -> Values:
    """Return the parameters and, if they are known, the FLOPs of a network."""
    root = job.plan.expand(job.model)
    known = {} if math.isnan(root.flops) else {"flops": int(root.flops)}
    return {"parameters": int(root.parameters), **known}


def _trained(problem: NetworkProblem, recorder: Recorder) -> Descended:
    start = problem.start()
    with Interrupts() as interrupts, problem.examples.feed(problem.trainer, problem.steps) as feed:
        checkpoints = Checkpoints(problem, recorder, interrupts)
        return training.run(
            feed,
            checkpoints.resume(start) or Reached(0, start, start.kept),
            problem.steps,
            moments=problem.stage.moments_of(problem.steps),
            record=recorder,
            reference=lambda: recorder.reference,
            begin=recorder.begin,
            until=problem.stage.is_low,
            observe=lambda step: problem.job.progress(step, problem.steps, "steps"),
            save=checkpoints.save,
        )


def _ended(problem: NetworkProblem, descended: Descended) -> str:
    if descended.divergence:
        return "unstable"
    return "stop" if problem.stage.is_low(descended.history.last) else "steps"


def _weights(problem: NetworkProblem, descended: Descended) -> bytes:
    """Write the trained network as `equinox.tree_serialise_leaves` does."""
    file = io.BytesIO()
    eqx.tree_serialise_leaves(file, problem.module(descended.kept))
    return file.getvalue()


def _inputs(job: Job, examples: Dataset | Stream) -> str:
    """Write as JSON how stored numbers became inputs, and the names of the classes.

    Numbers were divided by `unit`; then, by `normalise = "standard"`, `mean` was subtracted from
    each and the rest divided by `deviation`; at last they were multiplied by `scale`. What other
    keys ask for follows from an example alone, but for `zca`, whose matrix is not kept.
    """
    source, extent = job.plan.document.data, job.plan.data
    assert source is not None
    assert extent is not None
    found: Values = {
        "source": source.source,
        "shape": extent.image or [extent.inputs],
        "unit": examples.unit,
        **source.preparation,
        "classes": data.class_names(source, job.plan.folder),
    }
    if examples.standardiser is not None:
        found["mean"] = examples.standardiser.mean.tolist()
        found["deviation"] = examples.standardiser.deviation.tolist()
    lines = (f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in found.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _optional(problem: NetworkProblem, recorder: Recorder, descended: Descended) -> Values:
    """Return the fields that only some trainings have."""
    fields: Values = {}
    if recorder.predictions is not None:
        fields["predictions"] = recorder.predictions
    if problem.together < problem.stage.replicas:
        fields["together"] = problem.together
    if "largest" in problem.__dict__:  # it was needed
        fields["largest_learning_rate"] = written(problem.largest)
        fields["rate_examples"] = problem.rate_examples
    if problem.stage.replicas > 1:
        fields["curves"] = curves(recorder.numbers)
        fields["curve_columns"] = [*recorder.numbers[0]]
    examples = problem.examples
    if recorder.every and not problem.job.has_classes and isinstance(examples, HeldExamples):
        steps, dataset = [line["step"] for line in descended.history.lines()], examples.dataset
        x = np.concatenate([dataset.train.x, dataset.test.x])
        profile = output_profile(x, dataset.train, steps, np.stack(recorder.every))
        fields |= {"profile": profile} if profile else {}
    return fields


def _warnings(problem: NetworkProblem, descended: Descended) -> Iterator[str]:
    if descended.divergence:
        yield _of_divergence(problem, descended.divergence)
    yield from lacking(descended.history, problem.job.plan)


def _of_divergence(problem: NetworkProblem, found: Divergence) -> str:
    """Say where a training diverged, at what learning rate, and what may help."""
    grew = np.isfinite(found.loss)
    what = f"grew to {found.loss:.3g}" if grew else "stopped being finite"
    rate = problem.rate * float(problem.trainer.optimiser.schedule(found.step))
    which = f" of replica {found.replica}" if problem.stage.replicas > 1 else ""
    said = f"the loss{which} {what} at step {found.step}, at the learning rate {rate:.3g}"
    largest = _largest(problem)
    if largest is not None:
        said += f"; at the start the largest stable one is {largest:.3g}"
        said += ", but that has fallen in training" if rate < largest else ""
    return f"{said}: lower learning_rate, or set warmup or clip"


def _largest(problem: NetworkProblem) -> float | None:
    """Return the largest stable rate, if it is known and finite arithmetic finds it."""
    if not problem.has_largest:
        return None
    try:
        return problem.largest
    except (ValueError, ArithmeticError):
        return None

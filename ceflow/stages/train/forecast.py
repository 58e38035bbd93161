"""Forecast of a train stage."""

from ceflow.bottlenecks.costs import OUTPUTS_AT_ONCE, Sampled, SimulationSizes
from ceflow.compiler import Plan
from ceflow.spec import Model, Train
from ceflow.spec.models.segmented import Segmented
from ceflow.stages.stage import Forecast, examples_key
from ceflow.stages.train import demand

LOADING_SECONDS = 0.3
"""Seconds to read the data and to write arrays."""


def forecast(stage: Train, plan: Plan, model: Model) -> Forecast:
    """Count the memory and work of a training, and the arrays that are written."""
    return (
        demand.forecast(stage, plan, model) if model.is_finite else _simulated(stage, plan, model)
    )


def _simulated(stage: Train, plan: Plan, model: Model) -> Forecast:
    """Count those of the simulation of an infinitely wide network."""
    sizes = _sizes(stage, plan, model)
    memory, work = sizes.demand()
    kept = _outputs(stage, plan, sizes)
    memory += 2 * sizes.itemsize * kept
    disk = sizes.itemsize * (kept + sizes.embedding)
    instead = "" if stage.batch else "set batch, for steps on fewer examples"
    work = work._replace(seconds=work.seconds + LOADING_SECONDS)
    key, remarks = _key(stage, plan, sizes), () if sizes.past else sizes.sampled.remarks
    return Forecast(memory, disk, key, work, instead, remarks=remarks)


def _sizes(stage: Train, plan: Plan, model: Model) -> SimulationSizes:
    assert plan.data is not None
    train = plan.data.train
    batch, steps = stage.batch or train, stage.steps_of(train)
    return SimulationSizes(
        sampled=Sampled(Segmented.expect(model), stage.width, plan.inputs, plan.outputs),
        train=train,
        examples=train + plan.data.test,
        batch=batch,
        steps=steps,
        moments=stage.moments_in(steps),
        past=steps * batch if stage.engine_of(model) == "history" else 0,
        embeds="embedding" in stage.record,
        itemsize=plan.itemsize,
    )


def _outputs(stage: Train, plan: Plan, sizes: SimulationSizes) -> int:
    """Count the outputs that are written: at the end, or at each moment."""
    moments = sizes.moments if "predictions" in stage.record else 1
    return moments * sizes.examples * plan.outputs


def _key(stage: Train, plan: Plan, sizes: SimulationSizes) -> str:
    """Return the key that determines most of the memory, roughly."""
    sampled = sizes.sampled
    examples = examples_key(plan)
    stored = sizes.theta if sizes.kept else sizes.examples * plan.inputs
    passing = 3 * sizes.batch * (sizes.examples + sizes.hidden)
    takes = {
        "width": sampled.encoder + 6 * sampled.decoder + 3 * OUTPUTS_AT_ONCE * sizes.hidden,
        "epochs" if stage.steps is None else "steps": 4 * sizes.stored,
        "moments" if stage.moments else "points": 2
        * (sizes.embedding + _outputs(stage, plan, sizes)),
        "batch": passing if stage.batch else 0,
        examples: stored if stage.batch else stored + passing,
    }
    return max(takes, key=lambda key: takes[key])

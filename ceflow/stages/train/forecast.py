"""What a train stage will need."""

from ceflow.bottlenecks.budget import CHUNK, PAST, ROWS
from ceflow.compiler import Plan
from ceflow.spec import Bottleneck, Circle, Model, Train
from ceflow.stages.stage import Forecast, Work
from ceflow.stages.train.sizes import Sizes

LOADING = 1.0
"""Seconds to read the data, and to write arrays."""

COMPILATIONS = 25
"""Small functions' worth of compiling."""

PAIR = 100
"""Bytes of traffic that a pair of a point and a past point costs as much as."""


def forecast(stage: Train, plan: Plan, model: Model) -> Forecast:
    """Theta, kept or made row by row; the sampled network; the state, and what is recorded."""
    assert isinstance(model, Bottleneck), "the spec lets nothing else be trained"
    sizes = Sizes(stage, plan, model)
    disk = sizes.number * (sizes.examples * plan.outputs + sizes.embedding)
    instead = "" if stage.batch else "set batch, for steps on fewer examples"
    return Forecast(_memory(sizes), disk, _key(sizes), _work(sizes), instead)


def _memory(sizes: Sizes) -> float:
    """Of the phase that needs most: Theta being made, the training."""
    plan, number = sizes.plan, sizes.number
    theta = number * sizes.theta if sizes.kept else 0
    making = 2 * theta + 3 * number * sizes.encoder  # its generator's bits and numbers
    rates = 8 * 4 * sizes.batch * (sizes.batch + plan.outputs * sizes.state)
    training = theta + number * (_moving(sizes) + _passing(sizes)) + rates
    inputs = (2 * 8 + 4 * number) * sizes.examples * plan.inputs  # as compared
    sampled = number * (sizes.encoder + sizes.decoder)
    return inputs + sampled + max(making, training)


def _moving(sizes: Sizes) -> float:
    """Numbers of the state before and after steps, the weights' changes, and what is recorded."""
    outputs = sizes.plan.outputs
    return (
        (4 * sizes.state + 2 * outputs) * sizes.examples
        + (0 if sizes.infinite else 5 * sizes.decoder)
        + 4 * sizes.past * (sizes.state + outputs)
        + 2 * sizes.embedding
    )


def _passing(sizes: Sizes) -> float:
    """Numbers of rows of Theta, and of the hidden layer of a batch or of what is looked at."""
    rows = max(5 * ROWS / sizes.number, 3 * sizes.batch * sizes.examples)
    outputs = sizes.plan.outputs if sizes.past else 1  # whose slopes are held
    hidden = 3 * max(CHUNK, outputs * sizes.batch) * sizes.hidden
    return rows + hidden + (6 * CHUNK * PAST if sizes.past else 0)


def _key(sizes: Sizes) -> str:
    """What takes most, roughly."""
    stage, outputs = sizes.stage, sizes.plan.outputs
    examples = "data.points" if isinstance(sizes.plan.document.data, Circle) else "data.train"
    stored = sizes.theta if sizes.kept else sizes.examples * sizes.plan.inputs
    passing = 3 * sizes.batch * (sizes.examples + sizes.hidden)
    takes = {
        "width": sizes.encoder + 6 * sizes.decoder + 3 * CHUNK * sizes.hidden,
        "epochs" if stage.steps is None else "steps": 4 * sizes.past * (sizes.state + outputs),
        "moments" if stage.moments else "points": 2 * sizes.embedding,
        "batch": passing if stage.batch else 0,
        examples: stored if stage.batch else stored + passing,
    }
    return max(takes, key=lambda key: takes[key])


def _work(sizes: Sizes) -> Work:
    """Rows of Theta; the decoder, forward on what is looked at and back on batches; all points
    moved in each step; of an engine that keeps its past all pairs with it."""
    plan, passed = sizes.plan, sizes.steps * sizes.batch
    rows = sizes.theta if sizes.kept else passed * sizes.examples
    layers = len(sizes.model.encoder.widths) + sizes.infinite
    looks = (sizes.moments + 2) * sizes.examples
    pairs = sizes.past * (sizes.past / 2 + looks)
    seen, width = passed + looks, sizes.state + plan.outputs
    flops = (
        2 * rows * plan.inputs
        + 2 * sizes.examples * sizes.encoder
        + 6 * seen * sizes.hidden * width
        + 2 * passed * sizes.examples * sizes.state
        + 4 * pairs * sizes.state * (1 + plan.outputs)
    )
    moved = sizes.decoder + 2 * sizes.state * sizes.examples
    traffic = 30 * layers * rows + 8 * seen * sizes.hidden + 4 * sizes.steps * moved
    return Work(
        flops=flops,
        traffic=sizes.number * traffic + PAIR * pairs,
        normals=sizes.encoder + sizes.decoder,
        compilations=COMPILATIONS,
        seconds=LOADING,
    )

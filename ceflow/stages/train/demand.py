"""What the training of a finite network needs, in plain Python."""

import math

from ceflow import data
from ceflow._machine import MEMORY
from ceflow.blocks import counted
from ceflow.compiler import Plan, nodes
from ceflow.costs import Work
from ceflow.spec import LearningRates, Model, Train
from ceflow.stages.histories import MOST_FOLLOWED
from ceflow.stages.stage import Forecast, examples_key

LOADING_SECONDS = 1.0
"""Seconds to read the data, to load optax and to write arrays."""

PROGRAM_BYTES = 130e6
"""Bytes of a dozen compiled programs, and of the libraries loaded for them."""

SECONDS_PER_LAYER = 1.5e-5
"""Seconds of overhead per layer and step, however small the arrays."""

WEIGHT_COPIES = {"sgd": 6, "adam": 8, "adamw": 8}
"""Copies of the weights: those of two moments, the gradient, a step, and the optimiser's memory."""

VALUE_COPIES = 3
"""Copies of the values between layers that a forward and backward pass holds."""

FLOPS_PER_PASS = 3
"""FLOPs of a forward and a backward pass, in units of a forward pass."""

LINEARISED_FACTOR = 2
"""FLOPs and values of the linearised network, in units of those of the network."""

NTK_PASSES = 12
"""FLOPs of an NTK of some examples, in forward passes of each example and output."""

GROUP_BYTES = 2**26
"""Most bytes of the replicas that a CPU trains together; with more, its caches hold too little of
them, and 100 replicas of a small ensemble were seen to take 220 times as long as one."""

BLOCK_BYTES = 2**26
"""Bytes of the values between layers of a block of examples that is evaluated at once."""

CHUNK_BYTES = 2**25
"""Most bytes of the examples of the next steps that are read at a time, unless those of a single
step take more."""

CHUNKS = 5
"""Chunks in memory: one in use, one that is read, and copies of blocks that are evaluated, each of
half a chunk. Measured."""

ORDER_BYTES = 8
"""Bytes of the number of an example in the order of an epoch."""

READING_PASSES = 6
"""Passes over the numbers of a streamed example, as float64, from the file to the program."""

OUTPUT_BYTES = 2**26
"""Most bytes of outputs that are kept of streamed examples without being asked for."""

NUMBER_BYTES = 20
"""Bytes of a number of float64 that is written as text."""

RATE_EXAMPLES = 100
"""Largest number of examples by whose NTK the largest stable learning rate is found."""
FEWEST_RATE_EXAMPLES = 16
"""Number of examples that are taken for it however large the network is."""
RATE_FLOPS = 3e12
"""FLOPs that may be spent on it."""
RATE_PRODUCTS = 40
"""Products with the NTK that Lanczos takes, about."""
FLOPS_PER_PRODUCT = 5
"""FLOPs of a product with the NTK, in units of a forward pass."""


def block_size(root: nodes.Node, replicas: int, plan: Plan, streams: bool) -> int:
    """Return the number of examples to evaluate at once."""
    fit = BLOCK_BYTES / (plan.itemsize * replicas * max(1.0, nodes.values(root)))
    read = CHUNK_BYTES / (2 * 8 * (plan.inputs + plan.outputs)) if streams else math.inf
    return max(1, int(min(fit, read)))


def together(stage: Train, plan: Plan, model: Model, *, on_cpu: bool = True) -> int:
    """Return the number of replicas that are trained together, in groups of nearly equal size.

    On a CPU they are as many as its caches hold, but not fewer than two, so that the program is
    that of several. Networks of images are trained one by one there: convolutions of several
    networks are one in groups, which takes 1.3 times as long.
    """
    count = stage.replicas
    nodes_of = nodes.every(plan.expand(model))
    if on_cpu and any(isinstance(node, nodes.Convolution) for node in nodes_of):
        return 1
    most = GROUP_BYTES if on_cpu else MEMORY
    fit = max(2, int(most / _bytes_of_replica(stage, plan, model)))
    return math.ceil(count / math.ceil(count / fit))


def _bytes_of_replica(stage: Train, plan: Plan, model: Model) -> float:
    """Count the bytes of a replica in a step: its weights, and the values between its layers."""
    assert plan.data is not None
    root, batch = plan.expand(model), stage.batch or plan.data.train
    factor = LINEARISED_FACTOR if stage.engine_of(model) == "linearised" else 1
    values = VALUE_COPIES * batch * factor * nodes.values(root)
    return plan.itemsize * max(1.0, _copies(stage) * root.parameters + values)


def _copies(stage: Train) -> int:
    """Return the number of copies of the weights in memory in a step."""
    return WEIGHT_COPIES[stage.optimizer] + (2 if stage.average is not None else 0)


def is_streamed(stage: Train, plan: Plan, model: Model) -> bool:
    """Tell whether examples are read from their files as they are needed: those that can be, if
    all together would take more than 1 GiB as float64, and a step takes only some of them.
    """
    source, size = plan.document.data, plan.data
    assert source is not None
    assert size is not None
    some = stage.streams_data(model) and (stage.batch or size.train) < size.train
    return some and data.is_stored(source) and data.cost_of(source, size).held > MEMORY


def keeps_outputs(stage: Train, plan: Plan, model: Model) -> bool:
    """Tell whether the outputs on all examples are kept. Those of examples that are streamed are
    if they are recorded, or take at most 64 MiB.
    """
    if "predictions" in stage.record or not is_streamed(stage, plan, model):
        return True
    assert plan.data is not None
    numbers = stage.replicas * (plan.data.train + plan.data.test) * plan.outputs
    return numbers * plan.itemsize <= OUTPUT_BYTES


def rate_examples(flops: float) -> int:
    """Return the number of examples by whose NTK the largest stable rate is found, for a network of
    that many FLOPs.

    >>> rate_examples(1e6), rate_examples(5e8), rate_examples(1e10)
    (100, 30, 16)
    """
    each = FLOPS_PER_PRODUCT * RATE_PRODUCTS * flops
    affordable = RATE_FLOPS / each if each > 0 else RATE_EXAMPLES
    return int(min(RATE_EXAMPLES, max(FEWEST_RATE_EXAMPLES, affordable)))


def forecast(stage: Train, plan: Plan, model: Model) -> Forecast:
    """Count the memory of the replicas, which are trained together, and the work of all steps and
    moments.
    """
    assert plan.data is not None
    root, size, replicas = plan.expand(model), plan.itemsize, stage.replicas
    train, examples = plan.data.train, plan.data.train + plan.data.test
    batch, steps = stage.batch or train, stage.steps_of(train)
    factor = LINEARISED_FACTOR if stage.engine_of(model) == "linearised" else 1
    flops = factor * (2 * root.parameters if math.isnan(root.flops) else root.flops)
    moments, values = stage.moments_in(steps), factor * nodes.values(root)
    weights = replicas * root.parameters * size
    copies, group = _copies(stage), together(stage, plan, model)
    passing = VALUE_COPIES * group * batch * values * size
    evaluated = VALUE_COPIES * min(BLOCK_BYTES, replicas * examples * values * size)
    streams = is_streamed(stage, plan, model)
    kept = (moments if "predictions" in stage.record else 1) * replicas * examples * plan.outputs
    kept = kept if keeps_outputs(stage, plan, model) else 0
    given = _fed(stage, plan) if streams else 3 * size * examples * plan.inputs
    followed = min(MOST_FOLLOWED, train) if set(stage.record) & set(stage.OF_NTK) else 0
    ntk = followed**2 * 8 * replicas * 4
    takes = {
        "replicas" if replicas > 1 else "model.widths": copies * weights,
        "batch" if stage.batch else examples_key(plan): passing,
        examples_key(plan): given,
        "moments" if stage.moments else "points": 3 * kept * size,
    }
    layers = list(nodes.leaves(root))
    several = replicas * flops
    work = Work(
        flops=several * (FLOPS_PER_PASS * batch * steps + examples * moments)
        + several * NTK_PASSES * followed * plan.outputs * moments
        + _rate_flops(stage, root, batch),
        normals=root.parameters * replicas,
        traffic=steps * size * replicas * (2 * copies * root.parameters + 4 * batch * values),
        compilations=4 + 0.6 * len(layers) + (2 + 0.4 * len(layers) if followed else 0),
        seconds=LOADING_SECONDS + SECONDS_PER_LAYER * len(layers) * steps,
    )
    work = work.plus(_reading(stage, plan, moments)) if streams else work
    memory = PROGRAM_BYTES + copies * weights + max(passing, evaluated) + ntk
    memory += given + 3 * kept * size
    disk = size * kept + weights + _curves(stage, replicas, moments) + _preparation(plan)
    instead = "" if stage.batch else "set batch, for steps on fewer examples"
    remarks = ("data streamed",) if streams else ()
    remarks += (f"{counted(group, 'replica')} at a time",) if group < replicas else ()
    key = max(takes, key=lambda key: takes[key])
    return Forecast(memory, disk, key, work, instead, streams=streams, remarks=remarks)


def steps_at_once(stage: Train, plan: Plan) -> int:
    """Return the number of steps whose streamed examples are read at a time."""
    return max(1, int(CHUNK_BYTES / _bytes_of_step(stage, plan)))


def _bytes_of_step(stage: Train, plan: Plan) -> float:
    """Count the bytes of the examples of a step."""
    assert plan.data is not None
    numbers = plan.inputs + plan.outputs
    return float(stage.replicas * (stage.batch or plan.data.train) * numbers * plan.itemsize)


def _fed(stage: Train, plan: Plan) -> float:
    """Count the bytes of streamed examples and of their orders."""
    assert plan.data is not None
    orders = 2 * ORDER_BYTES * stage.replicas * plan.data.train
    return CHUNKS * max(CHUNK_BYTES, _bytes_of_step(stage, plan)) + orders


def _reading(stage: Train, plan: Plan, moments: int) -> Work:
    """Count the work of reading streamed examples, in steps and at moments."""
    assert plan.data is not None
    train, examples = plan.data.train, plan.data.train + plan.data.test
    read = stage.replicas * stage.steps_of(train) * (stage.batch or train) + moments * examples
    return Work(traffic=READING_PASSES * 8.0 * read * plan.inputs)


def _rate_flops(stage: Train, root: nodes.Node, batch: int) -> float:
    """Count the FLOPs of finding the largest stable learning rate."""
    if not isinstance(stage.learning_rate, LearningRates) or math.isnan(root.flops):
        return 0.0
    some = min(batch, rate_examples(root.flops))
    return FLOPS_PER_PRODUCT * RATE_PRODUCTS * some * root.flops


def _preparation(plan: Plan) -> float:
    """Count the bytes of the means and deviations that are kept beside the weights, as text."""
    assert plan.data is not None
    preparation = plan.document.data.preparation if plan.document.data else {}
    standard = preparation.get("normalise") == "standard"
    return 2 * NUMBER_BYTES * plan.data.inputs if standard else 0.0


def _curves(stage: Train, replicas: int, moments: int) -> float:
    """Count the bytes of the curves of all replicas."""
    columns = len(stage.recorded()) - 1
    return 8.0 * columns * moments * replicas if replicas > 1 else 0.0

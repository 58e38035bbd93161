"""What a flow stage will need."""

from ceflow import bottlenecks
from ceflow.compiler import Plan, nodes
from ceflow.spec import Bottleneck, Flow, Model
from ceflow.stages.flow.weights import COPIES, MEMORY, together
from ceflow.stages.stage import Forecast, Work, number_size

LOADING = 1.0
"""Seconds to read the data, and to load diffrax."""

DRAWN = 4
"""Copies of the weights that are drawn: the generator's bits, its numbers, and their pieces."""

LINE = 1000
"""Bytes of what is kept of one moment beside arrays."""

LESS = 'let solver = "auto" choose another than kvaerno5, which solves dense systems'

EVALUATIONS = 400
"""Of a flow's right side: what flows to most of their loss take, more or less."""

PASSES = 6
"""FLOPs of one evaluation for each parameter and example: forward, and back twice."""

PASSED = 6
"""Numbers of each example and unit of a sampled decoder, that an evaluation holds at once."""

NTK = 4
"""Copies of an NTK that is computed, in float64."""

PROGRAMS = 180e6
"""Bytes that a dozen compiled programs take, and libraries loaded for them."""

COVARIANCE = 8
"""FLOPs of a covariance of trained outputs, for each test example and two training examples."""

CUBIC = 12
"""FLOPs of an eigendecomposition, for each row cubed, by the time it takes."""


def forecast(stage: Flow, plan: Plan, model: Model) -> Forecast:
    """The states of the replicas that flow together, or the kernel; and what is kept of it."""
    found = BY_ENGINE[stage.engine_of(model)](stage, plan, model)
    kept = 2 * _kept(stage, plan) + LINE * stage.moment_count
    key = "points" if kept > found.memory and stage.times is None else found.key
    return found._replace(
        memory=found.memory + kept,
        disk=_disk(stage, plan, model),
        key=key,
        adaptive=stage.engine_of(model) != "closed-form",
    )


def _with_systems(
    found: Forecast, stage: Flow, plan: Plan, state: float, seen: float, flying: int = 1
) -> Forecast:
    """With what Kvaerno5 takes for each of the states `flying` together: the Jacobian of `state`
    numbers, its factors, and all columns of it on their way through the `seen` numbers that an
    evaluation holds."""
    if stage.solver != "kvaerno5":
        return found
    systems = flying * number_size(plan) * state * (4 * state + max(state, 2.5 * seen))
    if systems < found.memory:
        return found._replace(memory=found.memory + systems)
    return found._replace(memory=found.memory + systems, instead=LESS)


def _of_weights(stage: Flow, plan: Plan, model: Model) -> Forecast:
    root, size = plan.expand(model), number_size(plan)
    replicas = stage.replicas if stage.engine_of(model) == "parameters" else 1
    flying = together(size * root.parameters, replicas)
    values = sum(times * nodes.units(node.outputs) for times, node in nodes.leaves(root))
    passing = 4 * size * _examples(plan) * values
    memory = flying * (COPIES * size * root.parameters + passing)
    memory += 3 * size * _examples(plan) * plan.inputs
    watched = _watched(stage, plan) * plan.outputs * root.parameters
    watching = (stage.moment_count if stage.record or stage.entries else 0) + 3
    evaluations = EVALUATIONS * stage.replicas
    work = Work(
        flops=PASSES * root.parameters * (_train(plan) * evaluations + watching * stage.replicas)
        + watching * stage.replicas * watched,
        traffic=COPIES * size * root.parameters * evaluations,
        normals=root.parameters * stage.replicas,
        compilations=10 + 2 * sum(1 for _ in nodes.leaves(root)),
        seconds=LOADING,
    )
    if "derivatives" in stage.record:
        memory += 5 * size * watched
    key = "model.widths" if memory < 2 * MEMORY or flying == 1 else "replicas"
    found = Forecast(memory, key=key, work=work)
    return _with_systems(found, stage, plan, root.parameters, _examples(plan) * values, flying)


def _of_functions(stage: Flow, plan: Plan, model: Model) -> Forecast:
    full = model.finite and stage.kernel is None
    pairs, size = plan.outputs**2 if full else 1, number_size(plan)
    n, rows = _train(plan), _examples(plan)
    side = n * (plan.outputs if full else 1)
    solved = stage.engine_of(model) == "closed-form"
    memory = size * (4 * pairs * n * rows + 4 * rows * plan.inputs)
    memory += 8 * 5 * side**2 if solved else 0
    if not model.finite:  # and its covariances
        memory += 8 * 4 * (rows - n) * rows
    each = CUBIC * side**3 if solved else EVALUATIONS * 2 * side * rows * plan.outputs
    if solved and not model.finite and stage.kernel is None:  # the covariance at each moment
        each += COVARIANCE * (rows - n) * n**2 * stage.moment_count
    work = Work(
        flops=stage.replicas * (each + 2 * side * rows * plan.outputs * stage.moment_count),
        traffic=size * pairs * n * rows * 30,
        compilations=8 + sum(1 for _ in nodes.leaves(plan.expand(model))) / 3,
        seconds=LOADING,
    )
    found = Forecast(memory, key="data.train", work=work)
    state = rows * plan.outputs
    return found if solved else _with_systems(found, stage, plan, state, state)


def _of_features(stage: Flow, plan: Plan, model: Model) -> Forecast:
    """Theta, the sampled network with its state, and what the decoder computes of all examples."""
    assert isinstance(model, Bottleneck)
    n, rows, width, size = _train(plan), _examples(plan), stage.width, number_size(plan)
    d, depth = int(model.size), len(model.encoder.widths)
    decoder = width * (d + plan.outputs)
    encoder = width * (plan.inputs + d + (depth - 1) * width)
    theta = size * n * rows
    state = n * d + decoder
    watched = _watched(stage, plan) if stage.record or stage.entries else 0
    ntk = max(watched, n if stage.solver == "auto" else 0)
    of_width = size * (COPIES * decoder + DRAWN * encoder + PASSED * n * width)
    of_examples = 2 * min(theta, bottlenecks.MEMORY) + COPIES * size * n * d
    of_examples += 8 * (NTK * ntk**2 + 2 * ntk * plan.outputs * d)
    evaluations = EVALUATIONS * stage.replicas
    seen = stage.replicas * stage.moment_count
    work = Work(
        flops=evaluations * (PASSES * n * decoder + 2 * n * rows * d)
        + 2 * seen * (rows * decoder + watched**2 * plan.outputs * d),
        traffic=size * (evaluations * (PASSED * n * width + COPIES * state) + seen * rows * width)
        + 30 * depth * theta * (stage.replicas if theta <= bottlenecks.MEMORY else evaluations),
        normals=stage.replicas * (encoder + decoder),
        compilations=25,
        seconds=LOADING,
    )
    key = "width" if of_width > of_examples else "data.train"
    found = Forecast(PROGRAMS + of_width + of_examples, key=key, work=work)
    return _with_systems(found, stage, plan, state, n * width)


BY_ENGINE = {
    "parameters": _of_weights,
    "linearised": _of_weights,
    "kernel": _of_functions,
    "closed-form": _of_functions,
    "features": _of_features,
}


def _train(plan: Plan) -> int:
    assert plan.data is not None
    return plan.data.train


def _examples(plan: Plan) -> int:
    assert plan.data is not None
    return plan.data.train + plan.data.test


def _watched(stage: Flow, plan: Plan) -> int:
    """Examples whose NTK is computed."""
    if stage.entries is None:
        return _train(plan)
    return len({index for pair in stage.entries for index in pair})


def _pairs(stage: Flow, plan: Plan) -> int:
    n = _train(plan)
    return len(stage.entries) if stage.entries is not None else n * (n - 1) // 2


def _kept(stage: Flow, plan: Plan) -> float:
    """Bytes of what is seen of all replicas until the end."""
    watches = stage.entries is not None or "drift" in stage.record
    entries = stage.replicas * stage.moment_count * _pairs(stage, plan) if watches else 0
    kernels = stage.moment_count * _train(plan) ** 2 if "kernel" in stage.record else 0
    return number_size(plan) * (entries + kernels)


def _disk(stage: Flow, plan: Plan, model: Model) -> float:
    outputs = stage.replicas * _examples(plan) * plan.outputs
    kernels = stage.moment_count * _train(plan) ** 2 if "kernel" in stage.record else 0
    limit = stage.engine_of(model) == "closed-form" and not model.finite and stage.kernel is None
    covariance = (_examples(plan) - _train(plan)) ** 2 if limit else 0
    return number_size(plan) * (outputs + kernels) + 8 * covariance

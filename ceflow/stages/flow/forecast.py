"""The forecast of a flow stage: how many steps, and what each takes."""

import math
from typing import NamedTuple

from ceflow import bottlenecks
from ceflow.bottlenecks.costs import Sampled
from ceflow.compiler import Plan, nodes
from ceflow.compiler.budget import LARGEST
from ceflow.costs import Work
from ceflow.dynamics import costs
from ceflow.dynamics.costs import StepForecast
from ceflow.spec import Bottleneck, Flow, Model
from ceflow.spec.models import SLOPES
from ceflow.stages.flow.problem import COPIES, MEMORY, group_size, is_smooth, tolerances
from ceflow.stages.stage import Forecast

LOADING = 1.0
"""Seconds to read the data, and to load diffrax."""

DRAWN = 4
"""Copies of the weights that are drawn: the generator's bits, its numbers, and their pieces."""

LINE = 1000
"""Bytes of what is kept of one moment beside arrays."""

LESS = 'let solver = "auto" choose another than kvaerno5, which solves dense systems'

LAYER = 1.5e-5
"""Seconds that an evaluation takes for each layer, however few numbers go through it."""

SMALL = 0.4
"""Of the time that programs take to compile, what plain ones take."""

CACHE = 4e6
"""Bytes that stay in the processor's caches, more or less."""

PASSES = 6
"""FLOPs of one evaluation for each parameter and example: forward, and back twice."""

PASSED = 6
"""Numbers of each example and unit of a sampled decoder, that an evaluation holds at once."""

NTK = 4
"""Copies of an NTK that is computed, in float64."""

DERIVED = 17
"""Jacobians of the points that their first three derivatives in time hold at once, with all that
XLA keeps beside them: 12 to 21 were seen, of 40 to 200 examples."""

PROGRAMS = 130e6
"""Bytes that a dozen compiled programs take, and libraries loaded for them."""

COVARIANCE = 20
"""FLOPs of a covariance of trained outputs, for each test example and two training examples."""

SHARE = 0.4
"""Of N K(x, x), the largest eigenvalue of the NTK of N examples: from 0.03 to 0.6."""

STIFFEST = 1e100
"""No solver comes anywhere beyond it."""


def forecast(stage: Flow, plan: Plan, model: Model) -> Forecast:
    """Count the states of replicas that flow together, or the kernel; and what is kept of it."""
    if stage.engine_of(model) == "closed-form":
        found = _solved(stage, plan, model)
    else:
        found = _integrated(stage, plan, model)
    kept = 2 * _kept(stage, plan) + LINE * stage.moment_count
    key = "points" if kept > found.memory and stage.times is None else found.key
    return found._replace(memory=found.memory + kept, disk=_disk(stage, plan, model), key=key)


def _integrated(stage: Flow, plan: Plan, model: Model) -> Forecast:
    """Count as many steps as such flows take; where those are not known, the most too."""
    flow = BY_ENGINE[stage.engine_of(model)](stage, plan, model)
    steps = steps_of(stage, plan, model, flow.state, flow.together)
    found = flow.asked._replace(work=flow.work(steps, plan.itemsize))
    if not steps.known:
        found = found._replace(most=flow.work(steps.with_attempts(stage.steps), plan.itemsize))
    return _with_systems(found, stage, plan, flow)


class _Flow(NamedTuple):
    """A flow to forecast: what is asked for whatever the number of steps, and what one network is.

    Of one network it has numbers in its state and those that an evaluation holds, FLOPs of an
    evaluation, and its layers. So many flow `together`, and there are so many `groups` of them."""

    asked: Forecast
    state: float
    held: float
    flops: float
    layers: int
    together: int = 1
    groups: int = 1

    def work(self, steps: StepForecast, size: int) -> Work:
        """Add all evaluations. Numbers that stay in a cache are not slower to move than to use."""
        moved = size * self.together * (costs.COPIED * self.state + self.held)
        moved *= min(1.0, max(1 / 8, moved / CACHE))
        evaluations, asked = self.groups * steps.evaluations, self.asked.work
        return asked._replace(
            flops=asked.flops + self.together * self.flops * evaluations,
            traffic=asked.traffic + moved * evaluations,
            seconds=asked.seconds + LAYER * self.layers * evaluations,
        )


def steps_of(stage: Flow, plan: Plan, model: Model, size: float, together: int = 1) -> StepForecast:
    """Forecast a flow whose state has `size` numbers, of so many replicas that step together."""
    precision = plan.document.precision
    found = costs.steps(
        stiffness(stage, plan, model),
        stage.solver,
        size=size,
        moments=stage.moment_count,
        rtol=tolerances(stage, precision)["rtol"],
        smooth=is_smooth(stage, model),
        precise=precision == "float64",
        together=together,
    )
    known = found.known and _square(plan) is not None
    return found._replace(known=known).with_attempts(min(found.attempts, stage.steps))


def stiffness(stage: Flow, plan: Plan, model: Model) -> float:
    """Guess the largest eigenvalue of the NTK, times mu t: it is 0.4 N K(x, x), about, and K(x, x)
    the mean square of an input for each layer with weights."""
    assert plan.data is not None
    square = _square(plan) or 1.0
    weight = 1 if stage.reduction == "sum" else 1 / plan.data.train
    layers = len(model.widths) + 1
    return min(SHARE * plan.data.train * layers * square * weight * stage.time, STIFFEST)


def _square(plan: Plan) -> float | None:
    """Tell the mean square of an input, where it is known without reading the data."""
    assert plan.document.data is not None
    assert plan.data is not None
    return plan.document.data.mean_square(plan.data.inputs)


def _with_systems(found: Forecast, stage: Flow, plan: Plan, flow: _Flow) -> Forecast:
    """Add what Kvaerno5 takes for each of the states that flow together."""
    if stage.solver != "kvaerno5":
        return found
    systems = flow.together * plan.itemsize * costs.dense_numbers(flow.state, flow.held)
    if systems < found.memory:
        return found._replace(memory=found.memory + systems)
    return found._replace(memory=found.memory + systems, instead=LESS)


def _of_weights(stage: Flow, plan: Plan, model: Model) -> _Flow:
    root, size = plan.expand(model), plan.itemsize
    replicas = stage.replicas if stage.engine_of(model) == "parameters" else 1
    together = group_size(size * root.parameters, replicas)
    leaves = list(nodes.leaves(root))
    values = sum(times * nodes.units(node.outputs) for times, node in leaves)
    memory = together * size * (COPIES * root.parameters + 4 * _examples(plan) * values)
    memory += 3 * size * _examples(plan) * plan.inputs
    recorded = _recorded(stage, plan) * plan.outputs * root.parameters
    records = bool(stage.record or stage.entries)
    times = ((stage.moment_count if records else 0) + 3) * stage.replicas
    small = stage.replicas == 1 and _is_small(root.parameters, plan)
    work = Work(
        flops=times * (PASSES * root.parameters * _examples(plan) + recorded),
        normals=root.parameters * stage.replicas,
        compilations=(9 + 1.5 * len(leaves)) * (SMALL if small else 1) + 4 * records,
        seconds=LOADING,
    )
    if "derivatives" in stage.record:
        memory += DERIVED * size * recorded
    key = "model.widths" if memory < 2 * MEMORY or together == 1 else "replicas"
    return _Flow(
        Forecast(PROGRAMS + memory, key=key, work=work),
        state=root.parameters,
        held=_examples(plan) * values,
        flops=PASSES * root.parameters * _train(plan),
        layers=len(leaves),
        together=together,
        groups=math.ceil(stage.replicas / together),
    )


def _is_small(state: float, plan: Plan) -> bool:
    """Tell whether programs are compiled plainly, by the numbers of a step and their examples."""
    return 3 * state + _train(plan) * (plan.inputs + plan.outputs) <= LARGEST


def _solved(stage: Flow, plan: Plan, model: Model) -> Forecast:
    """Count an eigendecomposition; of an infinite network the covariance at each moment."""
    found, side, n = _of_kernel(stage, plan, model), _side(plan, model, stage), _train(plan)
    tested = _examples(plan) - n
    each = costs.CUBIC * side**3 + 2 * side * _examples(plan) * plan.outputs * stage.moment_count
    compilations = found.work.compilations
    if not model.is_finite and stage.kernel is None:
        each += COVARIANCE * tested * n**2 * stage.moment_count
        compilations += 4
    work = found.work._replace(flops=stage.replicas * each, compilations=compilations)
    return found._replace(memory=found.memory + 8 * 5 * side**2, work=work)


def _of_functions(stage: Flow, plan: Plan, model: Model) -> _Flow:
    state = _examples(plan) * plan.outputs
    return _Flow(
        _of_kernel(stage, plan, model),
        state=state,
        held=state,
        flops=2 * _side(plan, model, stage) * state,
        layers=2,
        groups=stage.replicas,
    )


def _of_kernel(stage: Flow, plan: Plan, model: Model) -> Forecast:
    """Count the fixed kernel of all examples with those of training."""
    pairs, size = (plan.outputs**2 if _is_full(stage, model) else 1), plan.itemsize
    n, rows = _train(plan), _examples(plan)
    memory = size * (4 * pairs * n * rows + 4 * rows * plan.inputs)
    if not model.is_finite:  # and its covariances
        memory += 8 * 4 * (rows - n) * rows
    layers = sum(1 for _ in nodes.leaves(plan.expand(model)))
    work = Work(
        traffic=size * pairs * n * rows * 30,
        compilations=(6 if model.is_finite else 14) + layers / 3,
        seconds=LOADING,
    )
    return Forecast(PROGRAMS + memory, key="data.train", work=work)


def _is_full(stage: Flow, model: Model) -> bool:
    """Tell whether the kernel has entries for each pair of outputs."""
    return model.is_finite and stage.kernel is None


def _side(plan: Plan, model: Model, stage: Flow) -> int:
    return _train(plan) * (plan.outputs if _is_full(stage, model) else 1)


def _of_features(stage: Flow, plan: Plan, model: Model) -> _Flow:
    """Count Theta, the sampled network with its state, and what the decoder computes."""
    network = Bottleneck.expect(model)
    n, rows, width, size = _train(plan), _examples(plan), stage.width, plan.itemsize
    d, depth = int(network.size), len(network.encoder.widths)
    sampled = Sampled(network, width, plan.inputs, plan.outputs)
    decoder, encoder = sampled.decoder, sampled.encoder
    theta = size * n * rows
    recorded = _recorded(stage, plan) if stage.record or stage.entries else 0
    ntk = max(recorded, n if stage.solver == "auto" else 0)
    of_width = size * (COPIES * decoder + DRAWN * encoder + PASSED * n * width)
    of_examples = 2 * min(theta, bottlenecks.MEMORY) + COPIES * size * n * d
    of_examples += 8 * (NTK * ntk**2 + 2 * ntk * plan.outputs * d)
    times = stage.replicas * stage.moment_count
    kept = theta <= bottlenecks.MEMORY
    work = Work(
        flops=2 * times * (rows * decoder + recorded**2 * plan.outputs * d),
        traffic=size * times * rows * width + 30 * depth * theta * stage.replicas,
        normals=stage.replicas * (encoder + decoder),
        compilations=22 if network.decoder.activation in SLOPES else 42,
        seconds=LOADING,
    )
    key = "width" if of_width > of_examples else "data.train"
    return _Flow(
        Forecast(PROGRAMS + of_width + of_examples, key=key, work=work),
        state=n * d + decoder,
        held=PASSED * n * width + (0 if kept else 30 * depth * n * rows),
        flops=PASSES * n * decoder + 2 * n * rows * d,
        layers=2,
        groups=stage.replicas,
    )


BY_ENGINE = {
    "parameters": _of_weights,
    "linearised": _of_weights,
    "kernel": _of_functions,
    "features": _of_features,
}


def _train(plan: Plan) -> int:
    assert plan.data is not None
    return plan.data.train


def _examples(plan: Plan) -> int:
    assert plan.data is not None
    return plan.data.train + plan.data.test


def _recorded(stage: Flow, plan: Plan) -> int:
    """Count the examples whose NTK is recorded."""
    if stage.entries is None:
        return _train(plan)
    return len({index for pair in stage.entries for index in pair})


def _pairs(stage: Flow, plan: Plan) -> int:
    n = _train(plan)
    return len(stage.entries) if stage.entries is not None else n * (n - 1) // 2


def _kept(stage: Flow, plan: Plan) -> float:
    """Count the bytes of what is recorded of all replicas, and kept until the end."""
    records = stage.entries is not None or "drift" in stage.record
    entries = stage.replicas * stage.moment_count * _pairs(stage, plan) if records else 0
    kernels = stage.moment_count * _train(plan) ** 2 if "kernel" in stage.record else 0
    return plan.itemsize * (entries + kernels)


def _disk(stage: Flow, plan: Plan, model: Model) -> float:
    outputs = stage.replicas * _examples(plan) * plan.outputs
    kernels = stage.moment_count * _train(plan) ** 2 if "kernel" in stage.record else 0
    limit = stage.engine_of(model) == "closed-form" and not model.is_finite and stage.kernel is None
    covariance = (_examples(plan) - _train(plan)) ** 2 if limit else 0
    return plan.itemsize * (outputs + kernels) + 8 * covariance

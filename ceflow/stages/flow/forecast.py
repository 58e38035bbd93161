"""Forecast of a flow stage: the number of steps, and the cost of each."""

import math
from typing import NamedTuple

from ceflow import bottlenecks
from ceflow.bottlenecks.costs import Sampled, SampledDecoder, theta_at_once
from ceflow.compiler import Plan, nodes
from ceflow.compiler.budget import LARGEST_SMALL_PROGRAM
from ceflow.costs import EIGH_FLOPS, Work
from ceflow.dynamics import costs
from ceflow.dynamics.costs import StepForecast
from ceflow.spec import Flow, Model
from ceflow.spec.models.segmented import Segmented
from ceflow.spec.stages.descent import weight_of
from ceflow.stages.flow.problem import (
    MEMORY,
    STATE_COPIES,
    group_size,
    has_law,
    is_smooth,
    tolerances,
)
from ceflow.stages.stage import Forecast, examples_key

LOADING_SECONDS = 1.0
"""Seconds to read the data and to load diffrax."""

DRAWING_COPIES = 4
"""Copies of the weights while they are drawn: the generator's bits, its numbers, and their
parts."""

BYTES_PER_MOMENT = 1000
"""Bytes kept per recorded moment, in addition to arrays."""

CHANGE_SOLVER = 'let solver = "auto" choose another than kvaerno5, which solves dense systems'

SECONDS_PER_LAYER = 1.5e-5
"""Seconds of overhead per layer and evaluation, however small the arrays."""

SMALL_COMPILE_SHARE = 0.4
"""Compile time of small programs, which XLA does not optimise, as a fraction of the usual time."""

CACHE_BYTES = 4e6
"""Bytes that fit in the processor's caches, roughly."""

FLOPS_PER_PARAMETER = 6
"""FLOPs per parameter and example of one evaluation: a forward and a backward pass."""

NUMBERS_PER_UNIT = 6
"""Numbers per example and unit of a sampled decoder that an evaluation holds at once."""

NTK_COPIES = 4
"""Copies of an NTK in float64 while it is computed."""

DERIVATIVE_JACOBIANS = 17
"""Jacobians of all points that are held at once while the first three time derivatives are
computed, XLA's temporaries included: 12 to 21 were measured, for 40 to 200 examples."""

PROGRAM_BYTES = 130e6
"""Bytes of a dozen compiled programs, and of the libraries loaded for them."""

STDDEV_FLOPS = 4
"""FLOPs of a standard deviation, per example and pair of training examples."""

COVARIANCE_FLOPS = 20
"""FLOPs of a covariance of trained outputs, per test example and pair of training examples."""

EIGENVALUE_SHARE = 0.4
"""Largest eigenvalue of the NTK of N examples, as a fraction of N K(x, x); 0.03 to 0.6 were
measured."""

LARGEST_STIFFNESS = 1e100
"""Largest stiffness considered; no solver gets anywhere near it."""


def forecast(stage: Flow, plan: Plan, model: Model) -> Forecast:
    """Count the memory of the replicas that flow together, or of the kernel, and of the
    recordings.
    """
    if stage.engine_of(model) == "closed-form":
        found = _solved(stage, plan, model)
    else:
        found = _integrated(stage, plan, model)
    kept = 2 * _kept(stage, plan) + BYTES_PER_MOMENT * stage.moment_count
    key = "points" if kept > found.memory and stage.times is None else found.key
    return found._replace(memory=found.memory + kept, disk=_disk(stage, plan, model), key=key)


def _integrated(stage: Flow, plan: Plan, model: Model) -> Forecast:
    """Count the typical number of steps of such flows; if it is uncertain, the maximum too."""
    flow = BY_ENGINE[stage.engine_of(model)](stage, plan, model)
    steps = steps_of(stage, plan, model, flow.state, flow.together)
    found = flow.asked._replace(work=flow.work(steps, plan.itemsize))
    if not steps.known:
        found = found._replace(most=flow.work(steps.with_attempts(stage.steps), plan.itemsize))
    return _with_systems(found, stage, plan, flow)


class _Flow(NamedTuple):
    """A flow to forecast: the needs that do not depend on the number of steps, and the costs of one
    network.

    The costs of one network are the numbers in its state, the numbers that an evaluation holds, the
    FLOPs of an evaluation, and the number of layers. `together` replicas flow at once, in `groups`
    groups.
    """

    asked: Forecast
    state: float
    held: float
    flops: float
    layers: int
    together: int = 1
    groups: int = 1

    def work(self, steps: StepForecast, size: int) -> Work:
        """Add up all evaluations. Moving numbers that stay in the cache takes no extra time."""
        moved = size * self.together * (costs.STATE_COPIES_MOVED * self.state + self.held)
        moved *= min(1.0, max(1 / 8, moved / CACHE_BYTES))
        evaluations, asked = self.groups * steps.evaluations, self.asked.work
        return asked._replace(
            flops=asked.flops + self.together * self.flops * evaluations,
            traffic=asked.traffic + moved * evaluations,
            seconds=asked.seconds + SECONDS_PER_LAYER * self.layers * evaluations,
        )


def steps_of(stage: Flow, plan: Plan, model: Model, size: float, together: int = 1) -> StepForecast:
    """Forecast the steps of a flow with `size` numbers in its state, for replicas that step
    together.
    """
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
    """Estimate the largest eigenvalue of the NTK, times mu t: about 0.4 N K(x, x), where K(x, x) is
    the mean square of an input times the number of layers with weights.
    """
    assert plan.data is not None
    square = _square(plan) or 1.0
    weight = weight_of(stage.reduction, plan.data.train, plan.data.outputs)
    layers = len(model.widths) + 1
    return min(
        EIGENVALUE_SHARE * plan.data.train * layers * square * weight * stage.time,
        LARGEST_STIFFNESS,
    )


def _square(plan: Plan) -> float | None:
    """Return the mean square of the inputs, if it is known without reading the data."""
    assert plan.document.data is not None
    assert plan.data is not None
    return plan.document.data.mean_square(plan.data.inputs)


def _with_systems(found: Forecast, stage: Flow, plan: Plan, flow: _Flow) -> Forecast:
    """Add the dense systems that Kvaerno5 solves for each of the states that flow together."""
    if stage.solver != "kvaerno5":
        return found
    systems = flow.together * plan.itemsize * costs.dense_numbers(flow.state, flow.held)
    if systems < found.memory:
        return found._replace(memory=found.memory + systems)
    return found._replace(memory=found.memory + systems, instead=CHANGE_SOLVER)


def _of_weights(stage: Flow, plan: Plan, model: Model) -> _Flow:
    root, size = plan.expand(model), plan.itemsize
    replicas = stage.replicas if stage.engine_of(model) == "parameters" else 1
    together = group_size(size * root.parameters, replicas)
    leaves = list(nodes.leaves(root))
    values = sum(times * nodes.units(node.outputs) for times, node in leaves)
    memory = together * size * (STATE_COPIES * root.parameters + 4 * _examples(plan) * values)
    memory += 3 * size * _examples(plan) * plan.inputs
    recorded = _recorded(stage, plan) * plan.outputs * root.parameters
    records = stage.follows_ntk
    times = ((stage.moment_count if records else 0) + 3) * stage.replicas
    small = stage.replicas == 1 and _is_small(root.parameters, plan)
    work = Work(
        flops=times * (FLOPS_PER_PARAMETER * root.parameters * _examples(plan) + recorded),
        normals=root.parameters * stage.replicas,
        compilations=(9 + 1.5 * len(leaves)) * (SMALL_COMPILE_SHARE if small else 1) + 4 * records,
        seconds=LOADING_SECONDS,
    )
    if "derivatives" in stage.record:
        memory += DERIVATIVE_JACOBIANS * size * recorded
    key = "model.widths" if memory < 2 * MEMORY or together == 1 else "replicas"
    return _Flow(
        Forecast(PROGRAM_BYTES + memory, key=key, work=work),
        state=root.parameters,
        held=_examples(plan) * values,
        flops=FLOPS_PER_PARAMETER * root.parameters * _train(plan),
        layers=len(leaves),
        together=together,
        groups=math.ceil(stage.replicas / together),
    )


def _is_small(state: float, plan: Plan) -> bool:
    """Tell whether the programs are small enough to be compiled without optimisation."""
    return 3 * state + _train(plan) * (plan.inputs + plan.outputs) <= LARGEST_SMALL_PROGRAM


def _solved(stage: Flow, plan: Plan, model: Model) -> Forecast:
    """Count an eigendecomposition; for an infinite network also the standard deviations at each
    moment, and the covariance at the end.
    """
    found, side, n = _of_kernel(stage, plan, model), _side(plan, model, stage), _train(plan)
    tested = _examples(plan) - n
    each = EIGH_FLOPS * side**3 + 2 * side * _examples(plan) * plan.outputs * stage.moment_count
    compilations, spreads = found.work.compilations, 0
    if has_law(stage, plan, model):
        each += COVARIANCE_FLOPS * tested * n**2
        each += STDDEV_FLOPS * _examples(plan) * n**2 * (stage.moment_count + 1)
        compilations += 4
        spreads = 8 * (n**2 + 4 * _examples(plan) * n)
    work = found.work._replace(flops=stage.replicas * each, compilations=compilations)
    return found._replace(memory=found.memory + 8 * 5 * side**2 + spreads, work=work)


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
    """Count the fixed kernel between all examples and the training examples."""
    pairs, size = (plan.outputs**2 if _is_full(stage, model) else 1), plan.itemsize
    n, rows = _train(plan), _examples(plan)
    memory = size * (4 * pairs * n * rows + 4 * rows * plan.inputs)
    if not model.is_finite:  # and its covariances
        memory += 8 * 4 * (rows - n) * rows
    layers = sum(1 for _ in nodes.leaves(plan.expand(model)))
    work = Work(
        traffic=size * pairs * n * rows * 30,
        compilations=(6 if model.is_finite else 14) + layers / 3,
        seconds=LOADING_SECONDS,
    )
    return Forecast(PROGRAM_BYTES + memory, key=examples_key(plan), work=work)


def _is_full(stage: Flow, model: Model) -> bool:
    """Tell whether the kernel has an entry for each pair of outputs."""
    return model.is_finite and stage.kernel is None


def _side(plan: Plan, model: Model, stage: Flow) -> int:
    return _train(plan) * (plan.outputs if _is_full(stage, model) else 1)


def _of_features(stage: Flow, plan: Plan, model: Model) -> _Flow:
    """Count Theta, the sampled network with its state, and the evaluations of the decoder."""
    n, rows, width, size = _train(plan), _examples(plan), stage.width, plan.itemsize
    sampled = Sampled(Segmented.expect(model), width, plan.inputs, plan.outputs)
    d, depth, behind = sampled.sizes[0], sampled.layers, sum(sampled.sizes)
    decoder, encoder, hidden = sampled.decoder, sampled.encoder, sampled.depth * width
    theta = size * n * rows
    recorded = _recorded(stage, plan) if stage.follows_ntk else 0
    ntk = max(recorded, n if stage.solver == "auto" else 0)
    of_width = size * (
        STATE_COPIES * decoder + DRAWING_COPIES * encoder + NUMBERS_PER_UNIT * n * hidden
    )
    of_examples = 2 * min(theta, bottlenecks.MEMORY) + STATE_COPIES * size * n * d
    of_examples += 8 * (NTK_COPIES * ntk**2 + 2 * ntk * plan.outputs * behind)
    times = stage.replicas * stage.moment_count
    kept = sampled.theta is not None or theta <= bottlenecks.MEMORY
    work = Work(
        flops=2 * times * (rows * decoder + recorded**2 * plan.outputs * behind),
        traffic=size * times * rows * hidden + 30 * depth * theta * stage.replicas,
        normals=stage.replicas * (encoder + decoder),
        compilations=max(map(_compilations, sampled.decoders)) + 2 * len(sampled.decoders) - 2,
        seconds=LOADING_SECONDS,
    )
    key = "width" if of_width > of_examples else examples_key(plan)
    at_once = theta_at_once(sampled, n, rows, size)
    whole = Work(*(stage.replicas * amount for amount in at_once.work))
    work = work.plus(whole._replace(compilations=at_once.work.compilations))
    memory = PROGRAM_BYTES + of_width + of_examples + at_once.memory
    return _Flow(
        Forecast(memory, key=key, work=work, remarks=sampled.remarks),
        state=n * d + decoder,
        held=NUMBERS_PER_UNIT * n * hidden + (0 if kept else 30 * depth * n * rows),
        flops=FLOPS_PER_PARAMETER * n * decoder + 2 * n * rows * d,
        layers=1 + sampled.depth,
        groups=stage.replicas,
    )


def _compilations(decoder: SampledDecoder) -> int:
    """Count those of a flow with this decoder; a further one adds little."""
    return 15 + 3 * decoder.depth


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
    """Count the examples for which the NTK is recorded."""
    if stage.entries is None:
        return _train(plan)
    return len({index for pair in stage.entries for index in pair})


def _pairs(stage: Flow, plan: Plan) -> int:
    n = _train(plan)
    return len(stage.entries) if stage.entries is not None else n * (n - 1) // 2


def _kept(stage: Flow, plan: Plan) -> float:
    """Count the bytes of the recordings of all replicas, which are kept until the end."""
    records = stage.entries is not None or "drift" in stage.record
    entries = stage.replicas * stage.moment_count * _pairs(stage, plan) if records else 0
    kernels = stage.moment_count * _train(plan) ** 2 if "kernel" in stage.record else 0
    outputs = _outputs(stage, plan) if "predictions" in stage.record else 0
    return plan.itemsize * (entries + kernels + outputs)


def _outputs(stage: Flow, plan: Plan) -> int:
    """Count the outputs that are written: at the end, or at each moment."""
    moments = stage.moment_count if "predictions" in stage.record else 1
    return stage.replicas * moments * _examples(plan) * plan.outputs


def _disk(stage: Flow, plan: Plan, model: Model) -> float:
    kernels = stage.moment_count * _train(plan) ** 2 if "kernel" in stage.record else 0
    law = has_law(stage, plan, model)
    covariance = (_examples(plan) - _train(plan)) ** 2 if law else 0
    stddevs = _outputs(stage, plan) / plan.outputs if law else 0
    return plan.itemsize * (_outputs(stage, plan) + stddevs + kernels) + 8 * covariance

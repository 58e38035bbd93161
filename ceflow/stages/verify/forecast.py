"""The forecast of a verify stage: memory of all claims together, work one after the other."""

from collections.abc import Callable
from typing import NamedTuple

from ceflow.bottlenecks.budget import PAST
from ceflow.claims.budget import MULTIPLES
from ceflow.compiler import Plan
from ceflow.costs import Work
from ceflow.spec import Bottleneck, Ensemble, Model, Verify
from ceflow.stages.stage import Forecast, number_size

LOADING = 0.5
"""Seconds to load NumPy and SciPy, and to write histories."""

PROGRAM = 5.5e6
"""Bytes that a small function's worth of compiling leaves in memory."""

COPIES = 8
"""Of the weights: a network, where it started, its gradient, and what a loop holds twice."""


class Needs(NamedTuple):
    """The needs of one claim, in numbers, not bytes: what is held and moved; its other work."""

    held: float
    moved: float
    flops: float = 0.0
    normals: float = 0.0
    compilations: float = 0.0


def forecast(stage: Verify, plan: Plan, model: Model) -> Forecast:
    """Count the networks at the stage's width, or ensembles of 8 times as many members."""
    needs = [NEEDS[claim](stage, plan, model) for claim in stage.claims]
    size, compilations = number_size(plan), sum(each.compilations for each in needs)
    work = Work(
        flops=sum(each.flops for each in needs),
        traffic=size * sum(each.moved for each in needs),
        normals=sum(each.normals for each in needs),
        compilations=compilations,
        seconds=LOADING,
    )
    memory = size * _held(stage, plan, model) + PROGRAM * compilations
    return Forecast(memory, key=_key(stage, plan, model), work=work)


def _held(stage: Verify, plan: Plan, model: Model) -> float:
    """Count what the claim holds that holds most."""
    return max(NEEDS[claim](stage, plan, model).held for claim in stage.claims)


def _key(stage: Verify, plan: Plan, model: Model) -> str:
    """Name the key at whose default least would be held; of an ensemble that, or half the widths of
    a member."""
    tried: dict[str, tuple[Verify, Model]] = {}
    for key in ("width", "draws", "points", "steps"):
        usual = min(getattr(stage, key), Verify.model_fields[key].default)
        tried[key] = stage.but({key: usual}), model
    if isinstance(model, Ensemble):
        widths = tuple(-(-width // 2) for width in model.member.widths)
        member = model.member.but({"widths": widths})
        tried["model.widths"] = stage, model.but({"member": member})
    return min(tried, key=lambda key: _held(tried[key][0], plan, tried[key][1]))


def _size(model: Model) -> float:
    """Give the size of the bottleneck."""
    assert isinstance(model, Bottleneck), "the spec lets such claims act on nothing else"
    return model.size


def _parameters(stage: Verify, plan: Plan, model: Model) -> float:
    """Count those of a network with a bottleneck, at the stage's width."""
    assert isinstance(model, Bottleneck), "the spec lets such claims act on nothing else"
    n, deep = stage.width, len(model.encoder.widths)
    return n * (plan.inputs + 2 * model.size + plan.outputs + (deep - 1) * n)


def _descent(stage: Verify, plan: Plan, model: Model) -> Needs:
    """Count weights, hidden layers of all examples and their slopes by each output, in each step;
    the kernels of points and their past; what was recorded."""
    weights = _parameters(stage, plan, model)
    n, points, outputs = stage.width, stage.points, plan.outputs
    d = _size(model)
    hidden = 4 * points * outputs * n
    recorded = stage.steps * points * d * (2 * outputs + 1) + 40 * points * PAST
    pairs = (stage.steps * points) ** 2
    moved = stage.steps * (4 * weights + 2 * hidden) + 50 * pairs
    flops = 12 * stage.steps * points * (1 + outputs) * weights
    return Needs(COPIES * weights + hidden + 4 * recorded, moved, flops, weights, 30)


def _derivative(stage: Verify, plan: Plan, model: Model) -> Needs:
    """Count for eq. 5, in float64 at any precision."""
    weights = _parameters(stage, plan, model)
    double = 8 / number_size(plan)
    hidden = 6 * stage.points * stage.width
    held = double * (COPIES * weights + hidden)
    return Needs(held, 10 * held, 20 * stage.points * weights, weights, 8)


def _kernels(stage: Verify, plan: Plan, model: Model) -> Needs:
    """Count for eq. 6: slopes of all examples by each output of a half."""
    weights = _parameters(stage, plan, model)
    d = _size(model)
    slopes = 4 * stage.points * (d + plan.outputs) * stage.width
    products = 2 * stage.points**2 * (d**2 + plan.outputs**2) * stage.width
    return Needs(COPIES * weights + slopes, 4 * slopes, products, weights, 11)


def _units(stage: Verify, plan: Plan, model: Model) -> Needs:
    """Count for eq. 41: terms of each unit, one pair of points after the other."""
    d = _size(model)
    held = 20 * d * stage.width
    return Needs(held, 2 * held * stage.points, 0, stage.points * stage.width * (d + 1), 10)


def _covariances(stage: Verify, plan: Plan, model: Model) -> Needs:
    """Count one decoder after the other, at both points of all pairs."""
    d = _size(model)
    hidden, pairs = 2 * stage.points * stage.width, stage.points * (2 + 2 * d) ** 2
    moved = stage.draws * (7 * hidden + 4 * pairs)
    normals = stage.draws * stage.width * (d + 1)
    return Needs(6 * hidden + 8 * pairs, moved, 2 * stage.draws * hidden * 2 * d, normals, 8)


def _members(stage: Verify, plan: Plan, model: Model) -> Needs:
    """Count for lemma 1: kernels of ensembles, one after the other."""
    assert isinstance(model, Ensemble), "the spec lets such claims act on nothing else"
    member, units = plan.expand(model.member).parameters, sum(model.member.widths)
    largest, drawn = (
        function(MULTIPLES) * model.multiplicity * times
        for function, times in ((max, 1), (sum, stage.draws))
    )
    each = member + 6 * stage.points * units * plan.outputs
    kernels = len(MULTIPLES) * stage.draws * stage.points**2
    products = 2 * stage.points**2 * units * plan.outputs
    held = 4 * largest * each + 6 * kernels
    return Needs(held, 4 * drawn * each, drawn * products, drawn * member, 20)


def _trained_members(stage: Verify, plan: Plan, model: Model) -> Needs:
    """Count for theorem 1: the same, and each member's steps between."""
    drawn = _members(stage, plan, model)
    assert isinstance(model, Ensemble), "the spec lets such claims act on nothing else"
    count = sum(MULTIPLES) * model.multiplicity * stage.draws
    units, member = sum(model.member.widths), plan.expand(model.member).parameters
    moved = count * stage.steps * (4 * member + 8 * stage.points * units)
    flops = 6 * count * stage.steps * stage.points * member
    return drawn._replace(
        moved=2 * drawn.moved + moved, flops=2 * drawn.flops + flops, compilations=30
    )


NEEDS: dict[str, Callable[[Verify, Plan, Model], Needs]] = {
    "lemma-1": _members,
    "theorem-1": _trained_members,
    "lemma-3.1": _covariances,
    "theorem-3.2": _descent,
    "lemma-4.1": _descent,
    "eq-5": _derivative,
    "eq-6": _kernels,
    "eq-41": _units,
}

"""The costs of each claim, and the numbers of networks drawn for it. Loads no JAX."""

from collections.abc import Callable
from typing import NamedTuple

from ceflow.bottlenecks.costs import PAST_AT_ONCE, Sampled
from ceflow.compiler import Plan
from ceflow.spec import Bottleneck, Model, Verify
from ceflow.spec.models.segmented import Segmented

MULTIPLICITY_FACTORS = (1, 2, 4, 8)
"""Multiples of the model's multiplicity at which claims on ensembles are tested."""

WEIGHT_COPIES = 8
"""Copies of the weights in memory: the network, its initial state, its gradient, and the double
buffers of loops."""


class ClaimCost(NamedTuple):
    """Cost of a claim: numbers (not bytes) held and moved, and other work."""

    held: float
    moved: float
    flops: float = 0.0
    normals: float = 0.0
    compilations: float = 0.0


def _parameters(stage: Verify, plan: Plan, model: Model) -> float:
    """Count the parameters of a network with bottlenecks, at the stage's width."""
    sampled = _sampled(stage, plan, model)
    return sampled.encoder + sampled.decoder


def _sampled(stage: Verify, plan: Plan, model: Model) -> Sampled:
    return Sampled(Segmented.expect(model), stage.width, plan.inputs, plan.outputs)


def _descent(stage: Verify, plan: Plan, model: Model) -> ClaimCost:
    """Compute the cost of theorem 3.2, of the same for chains, and of lemma 4.1.

    Each step uses the weights, and the hidden layers of all examples with their derivatives by each
    output. To these come the kernels between points and their past, and the recorded values.
    """
    weights, decoders = _parameters(stage, plan, model), _sampled(stage, plan, model).decoders
    n, points = stage.width, stage.points
    outputs = max(each.outputs for each in decoders)
    hidden = 4 * points * n * sum(each.outputs * each.depth for each in decoders)
    recorded = stage.steps * points * sum(each.size * (2 * each.outputs + 1) for each in decoders)
    recorded += 40 * points * PAST_AT_ONCE
    pairs = len(decoders) * (stage.steps * points) ** 2
    moved = stage.steps * (4 * weights + 2 * hidden) + 50 * pairs
    flops = 12 * stage.steps * points * (1 + outputs) * weights
    return ClaimCost(WEIGHT_COPIES * weights + hidden + 4 * recorded, moved, flops, weights, 30)


def _derivative(stage: Verify, plan: Plan, model: Model) -> ClaimCost:
    """Compute the cost of eq. 5, which is tested in float64 at any precision."""
    weights = _parameters(stage, plan, model)
    double = 8 / plan.itemsize
    hidden = 6 * stage.points * stage.width
    held = double * (WEIGHT_COPIES * weights + hidden)
    return ClaimCost(held, 10 * held, 20 * stage.points * weights, weights, 8)


def _kernels(stage: Verify, plan: Plan, model: Model) -> ClaimCost:
    """Compute the cost of eq. 6: gradients of each output of both halves, for all examples."""
    weights = _parameters(stage, plan, model)
    d = Bottleneck.expect(model).size
    slopes = 4 * stage.points * (d + plan.outputs) * stage.width
    products = 2 * stage.points**2 * (d**2 + plan.outputs**2) * stage.width
    return ClaimCost(WEIGHT_COPIES * weights + slopes, 4 * slopes, products, weights, 11)


def _units(stage: Verify, plan: Plan, model: Model) -> ClaimCost:
    """Compute the cost of eq. 41: the terms of each unit, at one pair of points after another."""
    d = Bottleneck.expect(model).size
    held = 20 * d * stage.width
    return ClaimCost(held, 2 * held * stage.points, 0, stage.points * stage.width * (d + 1), 10)


def _covariances(stage: Verify, plan: Plan, model: Model) -> ClaimCost:
    """Compute the cost of lemma 3.1: one decoder after another, at both points of all pairs."""
    d = Bottleneck.expect(model).size
    hidden, pairs = 2 * stage.points * stage.width, stage.points * (2 + 2 * d) ** 2
    moved = stage.draws * (7 * hidden + 4 * pairs)
    normals = stage.draws * stage.width * (d + 1)
    return ClaimCost(6 * hidden + 8 * pairs, moved, 2 * stage.draws * hidden * 2 * d, normals, 8)


def _members(stage: Verify, plan: Plan, model: Model) -> ClaimCost:
    """Compute the cost of lemma 1: kernels of ensembles, one after another."""
    member, units = plan.expand(model.member).parameters, sum(model.widths)
    largest, drawn = (
        function(MULTIPLICITY_FACTORS) * model.multiplicity * times
        for function, times in ((max, 1), (sum, stage.draws))
    )
    each = member + 6 * stage.points * units * plan.outputs
    kernels = len(MULTIPLICITY_FACTORS) * stage.draws * stage.points**2
    products = 2 * stage.points**2 * units * plan.outputs
    held = 4 * largest * each + 6 * kernels
    return ClaimCost(held, 4 * drawn * each, drawn * products, drawn * member, 20)


def _trained_members(stage: Verify, plan: Plan, model: Model) -> ClaimCost:
    """Compute the cost of theorem 1: kernels before and after training, and the training steps."""
    drawn = _members(stage, plan, model)
    count = sum(MULTIPLICITY_FACTORS) * model.multiplicity * stage.draws
    units, member = sum(model.widths), plan.expand(model.member).parameters
    moved = count * stage.steps * (4 * member + 8 * stage.points * units)
    flops = 6 * count * stage.steps * stage.points * member
    return drawn._replace(
        moved=2 * drawn.moved + moved, flops=2 * drawn.flops + flops, compilations=30
    )


COSTS: dict[str, Callable[[Verify, Plan, Model], ClaimCost]] = {
    "lemma-1": _members,
    "theorem-1": _trained_members,
    "lemma-3.1": _covariances,
    "theorem-3.2": _descent,
    "chain": _descent,
    "lemma-4.1": _descent,
    "eq-5": _derivative,
    "eq-6": _kernels,
    "eq-41": _units,
}
"""Function that computes the cost of testing each claim."""

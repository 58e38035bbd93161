"""Algorithm 2: the optimal ensemble for a baseline, primal and dual."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ceflow.compiler import fan_in_sum, member_with, multiplicity_of, ratio_widths
from ceflow.spec import Mlp, Model, member_of

Cost = Callable[[Model], float]
"""What a network costs: its parameters, or its FLOPs."""


@dataclass(frozen=True)
class Candidate:
    """One width vector on the objective curves, with the multiplicities the theory gives it.

    - `primal_multiplicity`: members that cost as much as the baseline (CE eq. 12).
    - `dual_multiplicity`: members that vary as little as the baseline (CE eq. 14).
    - `variance`: `(exp(alpha S) - 1)/m` at the primal multiplicity, the primal objective.
    - `efficiency`: the baseline's cost over the ensemble's at the dual multiplicity, the
      dual objective.

    Both multiplicities are real numbers here; the objectives are the curves of CE figure 3.
    """

    widths: tuple[int, ...]
    fan_in_sum: float
    primal_multiplicity: float
    dual_multiplicity: float
    variance: float
    efficiency: float


@dataclass(frozen=True)
class Optimum:
    """The objective curves and their best point, which primal and dual share (CE section 3)."""

    alpha: float
    baseline_variance: float
    curve: tuple[Candidate, ...]
    best: Candidate

    def near_optimal(self, tolerance: float) -> list[Candidate]:
        """The candidates whose objective is within a fraction `tolerance` of the best."""
        limit = (1 + tolerance) * self.best.variance
        return [candidate for candidate in self.curve if candidate.variance <= limit]


def optimise(baseline: Model, alpha: float, cost: Cost) -> Optimum:
    """Minimise the variance at the baseline's cost, which is to minimise cost at its variance.

    The candidates are the baseline's widths times a ratio, from width 1 to the widest network that
    the budget buys once, less those whose variance is past all numbers. `cost` is what one member
    costs; m of them cost m times that. Raises `ValueError` where the baseline's variance is not
    finite.

    >>> from ceflow.compiler import compile
    >>> from ceflow.spec import Document
    >>> plan = compile(Document(model=Mlp(widths=[500] * 5, inputs=748, outputs=10)))
    >>> best = optimise(plan.model, 3.6, lambda model: plan.expand(model).parameters).best
    >>> best.widths[0], round(best.primal_multiplicity), round(best.efficiency, 2)
    (48, 30, 2.44)
    """
    members = multiplicity_of(baseline)
    budget = members * cost(member_of(baseline))
    variance = relative_variance(alpha, fan_in_sum(baseline)) / members
    if not math.isfinite(variance):
        raise ValueError(
            f"the law gives the baseline a variance past all numbers: alpha S ="
            f" {alpha * fan_in_sum(baseline):.3g}; it holds for alpha S of order 1, so widen the"
            " baseline or lower alpha"
        )
    curve = tuple(_candidates(baseline, alpha, cost, budget, variance))
    best = min(curve, key=lambda candidate: candidate.variance)
    return Optimum(alpha, variance, curve, best)


def candidate_widths(baseline: Model) -> Iterator[tuple[int, ...]]:
    """The baseline's widths times k/max(widths), without repeats and without end.

    k is every whole number up to 1000, then grows by steps of half a percent, and stops at the
    baseline itself on its way.
    """
    largest = int(max(member_of(baseline).widths))
    last, k = None, 1
    while True:
        widths = ratio_widths(baseline, k / largest)
        if widths != last:
            yield widths
        following = k + max(1, k // 200 if k >= 1000 else 1)
        last, k = widths, largest if k < largest < following else following


def _candidates(
    baseline: Model, alpha: float, cost: Cost, budget: float, variance: float
) -> Iterator[Candidate]:
    for widths in candidate_widths(baseline):
        candidate = _candidate(member_with(baseline, widths), alpha, cost, budget, variance)
        if candidate.primal_multiplicity < 1:
            return
        if math.isfinite(candidate.variance):
            yield candidate


def relative_variance(alpha: float, fan_in_sum: float) -> float:
    """`Var(K)/E[K]^2 = exp(alpha S) - 1` of one network by the law (CE eq. 9); inf past floats."""
    try:
        return math.expm1(alpha * fan_in_sum)
    except OverflowError:
        return math.inf


def nearest_multiplicity(multiplicity: float, cost_of: Callable[[int], float]) -> int:
    """The whole number near a real multiplicity whose network's cost is nearest the real one's.

    `cost_of(m)` is the cost of the whole network of m members.
    """
    low = max(1, math.floor(multiplicity))
    share = multiplicity - low
    target = cost_of(low) + share * (cost_of(low + 1) - cost_of(low))
    return min((low, low + 1), key=lambda m: abs(cost_of(m) - target))


def _candidate(member: Mlp, alpha: float, cost: Cost, budget: float, variance: float) -> Candidate:
    single = relative_variance(alpha, fan_in_sum(member))
    primal, dual = budget / cost(member), single / variance
    return Candidate(
        widths=tuple(int(width) for width in member.widths),
        fan_in_sum=fan_in_sum(member),
        primal_multiplicity=primal,
        dual_multiplicity=dual,
        variance=single / primal,
        efficiency=primal / dual,
    )

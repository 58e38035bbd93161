"""Algorithm 2 along a ratio: the optimal ensemble for a baseline, primal and dual."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ceflow.search.problem import Candidate, Problem
from ceflow.spec import Model


@dataclass(frozen=True)
class Optimum:
    """The objective curves and their best points.

    - `primal`: least variance, within the budget where there is one.
    - `smooth`: least variance at the baseline's cost; `primal` where there is no budget.
    - `dual`: least cost at the baseline's variance.
    """

    problem: Problem
    curve: tuple[Candidate, ...]
    primal: Candidate
    smooth: Candidate
    dual: Candidate

    @property
    def gap(self) -> float:
        """The gap by which strong duality fails; 0 where primal and dual are one (CE section 3).

        1 minus the product of the dual's efficiency and the primal's variance over the baseline's.
        """
        return max(0.0, 1 - self.smooth.smooth / self.dual.compact / self.problem.variance)

    def near_optimal(self, tolerance: float) -> list[Candidate]:
        """List the candidates whose primal objective is within a fraction `tolerance` of best."""
        objective = self.problem.primal_objective
        limit = (1 + tolerance) * objective(self.primal)
        return [candidate for candidate in self.curve if objective(candidate) <= limit]


def optimise(problem: Problem) -> Optimum:
    """Minimise the variance at the baseline's cost, and the cost at its variance.

    The candidates are the baseline's widths times a ratio, from width 1 to the widest network that
    the cost or the budget buys once, less those whose variance is not a number. Each objective is
    minimised by itself. Raises `ValueError` where the baseline's variance is not finite, and where
    no network is within the budget.

    >>> from ceflow.compiler.models import expand
    >>> from ceflow.search import Exponential, counted
    >>> from ceflow.spec import Mlp
    >>> baseline = Mlp(widths=[500] * 5, inputs=748, outputs=10)
    >>> best = optimise(Problem(baseline, Exponential(3.6), counted(expand, "parameters"))).dual
    >>> best.widths[0], round(best.share), round(best.efficiency, 2)
    (48, 30, 2.44)
    """
    curve = curve_along(problem, problem.baseline)
    primal = best_of(problem, curve)
    smooth = min(curve, key=lambda candidate: candidate.smooth)
    dual = min(curve, key=lambda candidate: candidate.compact)
    return Optimum(problem, curve, primal, smooth, dual)


def best_of(problem: Problem, curve: tuple[Candidate, ...]) -> Candidate:
    """Find the primal answer. Raises `ValueError` where no candidate is within the budget."""
    best = min(curve, key=problem.primal_objective)
    if math.isinf(problem.primal_objective(best)):
        problem.require_affordable(curve)
        raise ValueError("no network within the budget has a finite variance; raise the budget")
    return best


def curve_along(problem: Problem, model: Model) -> tuple[Candidate, ...]:
    """List the candidates whose widths are a model's times a ratio."""
    return tuple(_candidates(problem, model))


def _candidates(problem: Problem, model: Model) -> Iterator[Candidate]:
    """Go through the candidates, and end where a network is too dear to be bought once.

    Narrow ones may be past what is known."""
    given = max(model.widths)
    for widths in candidate_widths(model):
        candidate = problem.candidate(widths)
        bought = candidate.share >= 1 or candidate.primal_multiplicity >= 1
        if not bought and max(widths) > given:
            return
        if bought and math.isfinite(candidate.dual_multiplicity):
            yield candidate


def candidate_widths(baseline: Model) -> Iterator[tuple[int, ...]]:
    """Multiply the baseline's widths by k/max(widths), without repeats and without end.

    k is every whole number up to 1000, then grows by steps of half a percent, and stops at the
    baseline itself on its way.
    """
    largest = int(max(baseline.widths))
    last, k = None, 1
    while True:
        widths = baseline.ratio_widths(k / largest)
        if widths != last:
            yield widths
        following = k + max(1, k // 200 if k >= 1000 else 1)
        last, k = widths, largest if k < largest < following else following

"""CE Algorithm 2 for widths in proportion: the optimal ensembles for a baseline."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from ceflow.search.problem import Candidate, Problem
from ceflow.spec import Model, candidate_widths

MOST_REFUSED = 1000
"""Number of candidates in a row, all wider than the baseline, that a layer may refuse before no
wider ones are tried."""


@dataclass(frozen=True)
class Optimum:
    """The objective curves and their best candidates.

    - `primal`: least variance, within the budget if there is one.
    - `smooth`: least variance at the baseline's cost; the same as `primal` without a budget.
    - `dual`: least cost at the baseline's variance.
    """

    problem: Problem
    curve: tuple[Candidate, ...]
    primal: Candidate
    smooth: Candidate
    dual: Candidate

    @property
    def gap(self) -> float:
        """Duality gap; 0 if primal and dual have the same widths (CE section 3).

        It is 1 minus the dual's efficiency times the primal's variance over the baseline's.
        """
        return max(0.0, 1 - self.smooth.smooth / self.dual.compact / self.problem.variance)

    def near_optimal(self, tolerance: float) -> list[Candidate]:
        """List the candidates with a primal objective within a fraction `tolerance` of the best."""
        objective = self.problem.primal_objective
        limit = (1 + tolerance) * objective(self.primal)
        return [candidate for candidate in self.curve if objective(candidate) <= limit]


def optimise(problem: Problem) -> Optimum:
    """Minimise the variance at the baseline's cost, and the cost at its variance.

    The candidates have the baseline's widths times a ratio, from width 1 to the widest network that
    the cost or the budget affords once, except those without a finite variance. Each objective is
    minimised separately. Raises `ValueError` if the baseline's variance is not finite, or no
    network is within the budget.

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
    """Find the primal optimum. Raises `ValueError` if no candidate is within the budget."""
    best = min(curve, key=problem.primal_objective)
    if math.isinf(problem.primal_objective(best)):
        problem.require_affordable(curve)
        raise ValueError("no network within the budget has a finite variance; raise the budget")
    return best


def curve_along(problem: Problem, model: Model) -> tuple[Candidate, ...]:
    """List the candidates whose widths are those of a model times a ratio."""
    return tuple(_candidates(problem, model))


def _candidates(problem: Problem, model: Model) -> Iterator[Candidate]:
    """Yield the candidates, up to the widest network that is affordable once.

    Narrow networks without a known variance are left out, and those that a layer refuses.
    """
    given, refused = max(model.widths), 0
    for widths in candidate_widths(model):
        candidate = problem.candidate(widths)
        refused = refused + 1 if candidate.is_refused and max(widths) > given else 0
        if candidate.is_refused and refused < MOST_REFUSED:
            continue
        bought = candidate.share >= 1 or candidate.primal_multiplicity >= 1
        if not bought and max(widths) > given:
            return
        if bought and math.isfinite(candidate.dual_multiplicity):
            yield candidate

"""Networks with whole numbers of members, for the optima of the curves."""

import math
from collections.abc import Callable, Iterable
from typing import NamedTuple

from ceflow.search.costs import (
    MEMBER_ROUNDING,
    most_members,
    nearest_multiplicity,
    whole_members,
)
from ceflow.search.optimum import Optimum
from ceflow.search.problem import Candidate
from ceflow.spec import network_name

LARGEST_ROUNDING = 0.1
"""Largest relative change of a number of members by rounding after which the whole network still
has the cost or the variance that its point on the curve stands for. From 10 members on, every
rounding is smaller."""


class Whole(NamedTuple):
    """A network with a whole number of members."""

    candidate: Candidate
    members: int
    exact: float
    """The real number of members on the curve."""

    @property
    def is_near(self) -> bool:
        """Whether the whole number is near the real one."""
        return abs(self.members / self.exact - 1) <= LARGEST_ROUNDING


def primal_at(optimum: Optimum, candidate: Candidate) -> Whole:
    """Round the members of a candidate to those whose whole network costs nearest to the baseline,
    or down to those within the budget.
    """
    if optimum.problem.limits:
        members = whole_members(candidate.primal_multiplicity)
    else:
        members = _nearest(optimum, candidate, 1.0)
    return Whole(candidate, members, candidate.primal_multiplicity)


def dual_at(optimum: Optimum, candidate: Candidate) -> Whole:
    """Round the members of a candidate with the baseline's variance, down or up: to those whose
    whole network costs nearest to the baseline divided by the efficiency, unless rounding down
    raises the variance too much.
    """
    exact = candidate.dual_multiplicity
    nearest = Whole(candidate, _nearest(optimum, candidate, candidate.efficiency, exact), exact)
    if nearest.is_near or nearest.members > exact:
        return nearest
    return nearest._replace(members=_rounded_up(exact))


def whole_primal(optimum: Optimum) -> Whole:
    """Return the network of whole members for the primal.

    It is at the widths of the curve's optimum if there is a whole number near its real number of
    members, and if it varies less than the baseline. Otherwise it is the network of whole members
    that varies least among those of at most the baseline's cost: the baseline is one of them. If
    the problem gives widths, it is at those; `ValueError` is then raised if it has no members.
    """
    if optimum.problem.given is not None:
        return _at_given(optimum, primal_at)
    found = primal_at(optimum, optimum.primal)
    smooth = optimum.primal.single / max(found.members, 1) <= optimum.problem.variance
    if optimum.problem.limits or (found.is_near and smooth):
        return found
    limit = optimum.problem.costs.whole(optimum.problem.baseline)
    bought = _best(
        optimum,
        lambda c: whole_members(most_members(limit, lambda m: _cost(optimum, c, m))),
        lambda c, m: c.single / m,
    )
    return Whole(*bought, bought[0].share)


def whole_dual(optimum: Optimum) -> Whole:
    """Return the network of whole members for the dual.

    It is at the widths of the curve's optimum if that network costs less than the baseline.
    Otherwise it is the cheapest network of whole members that varies at most as the baseline,
    which is one of them.
    """
    if optimum.problem.given is not None:
        return _at_given(optimum, dual_at)
    found = dual_at(optimum, optimum.dual)
    limit = optimum.problem.costs.whole(optimum.problem.baseline)
    if _cost(optimum, optimum.dual, found.members) < limit:
        return found
    bought = _best(
        optimum,
        lambda c: _rounded_up(c.dual_multiplicity),
        lambda c, m: _cost(optimum, c, m),
    )
    return Whole(*bought, bought[0].dual_multiplicity)


def near_optimal(optimum: Optimum, tolerance: float) -> tuple[list[Whole], int]:
    """List the whole networks of the candidates whose objective is within a fraction `tolerance` of
    the best, and count those that are left out because no whole number of members is near theirs.
    """
    found = [primal_at(optimum, each) for each in optimum.near_optimal(tolerance)]
    kept = [each for each in found if optimum.problem.limits or each.is_near]
    return kept, len(found) - len(kept)


def _nearest(
    optimum: Optimum, candidate: Candidate, efficiency: float, beside: float | None = None
) -> int:
    problem = optimum.problem
    return nearest_multiplicity(
        problem.costs.whole(problem.baseline) / efficiency,
        lambda m: _cost(optimum, candidate, m),
        beside,
    )


def _cost(optimum: Optimum, candidate: Candidate, members: int) -> float:
    """Compute the cost of a whole network, with the parts that members share."""
    problem = optimum.problem
    return problem.costs.whole(problem.baseline.with_members(candidate.widths, members))


def _at_given(optimum: Optimum, whole: Callable[[Optimum, Candidate], Whole]) -> Whole:
    """Return the network at the widths that the problem gives."""
    problem = optimum.problem
    candidate = problem.candidate(problem.given or ())
    if candidate.is_refused:
        raise ValueError(problem.refusals[candidate.widths])
    name = network_name(1, candidate.widths)
    if not math.isfinite(candidate.single):
        raise ValueError(f"the variance of {name} is not known: it is outside what was measured")
    found = whole(optimum, candidate)
    if found.members < 1:
        raise ValueError(f"one member alone, {name}, costs more than the budget")
    return found


def _best(
    optimum: Optimum,
    members_of: Callable[[Candidate], int],
    objective: Callable[[Candidate, int], float],
) -> tuple[Candidate, int]:
    """Find the best whole network of at most the whole baseline's cost: the baseline, unless
    another one is better.
    """
    problem = optimum.problem
    baseline = problem.candidate(problem.baseline_widths), problem.baseline.multiplicity
    limit = problem.costs.whole(problem.baseline) * (1 + MEMBER_ROUNDING)
    others: Iterable[tuple[Candidate, int]] = ((c, members_of(c)) for c in optimum.curve)
    affordable = [(c, m) for c, m in others if m >= 1 and _cost(optimum, c, m) <= limit]
    best = min(affordable, key=lambda each: objective(*each), default=baseline)
    return best if objective(*best) < objective(*baseline) * (1 - MEMBER_ROUNDING) else baseline


def _rounded_up(multiplicity: float) -> int:
    return max(1, math.ceil(multiplicity * (1 - MEMBER_ROUNDING)))

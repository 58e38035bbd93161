"""The problem that a search solves, and the candidate for each width vector."""

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal, get_args

from ceflow._words import one_of
from ceflow.search.costs import MEMBER_ROUNDING, Cost, Costs, most_members, whole_members
from ceflow.search.laws import Law
from ceflow.spec import Model, SpecError, candidate_widths, flops_text

LimitName = Literal["parameters", "flops", "macs", "latency"]


@dataclass(frozen=True)
class Limit:
    """A limit on one kind of cost of a whole network."""

    name: LimitName
    cost: Cost
    most: float

    def __post_init__(self):
        one_of("the limit of a budget", self.name, get_args(LimitName))

    def refusal(self, least: float) -> str:
        """Return the message if even the smallest network costs more than the limit: `least`."""
        what = "the fastest member" if self.name == "latency" else "the smallest network"
        one = "" if self.name == "latency" else ", one member of width 1,"
        has = "takes" if self.name == "latency" else "has"
        return (
            f"no network is within the budget of {limit_text(self.name, self.most)}:"
            f" {what}{one} {has} {limit_text(self.name, least)}"
        )

    def levers(self, baseline: Model) -> str:
        """Return advice on how to get a smaller network."""
        if self.name == "latency":
            return "raise the budget, or time faster networks"
        return f"raise the budget, or give the [model] {baseline.smaller(self.name)}"


def limit_text(name: LimitName, most: float) -> str:
    """Format an amount of one kind of cost.

    >>> limit_text("parameters", 5e6), limit_text("macs", 1e9), limit_text("latency", 0.0123)
    ('5,000,000 parameters', '2.00 GFLOPs (1.00 GMACs)', '0.0123 s')
    """
    one_of("the cost", name, get_args(LimitName))
    if name == "parameters":
        return f"{most:,.0f} parameter{'' if most == 1 else 's'}"
    if name == "latency":
        return f"{most:.4g} s"
    return flops_text(2 * most if name == "macs" else most)


@dataclass(frozen=True)
class Candidate:
    """A width vector on the objective curves, with its multiplicities by the theory.

    - `single`: the variance of one member, Var(K)/E[K]^2.
    - `share`: number of members that cost as much as the baseline (CE eq. 12).
    - `primal_multiplicity`: `share` or, with a budget, the number of members that it affords.
    - `dual_multiplicity`: number of members with the same variance as the baseline (CE eq. 14).

    These numbers of members are real; the objectives are the curves of CE figure 3.
    """

    widths: tuple[int, ...]
    fan_in_sum: float
    single: float
    share: float
    primal_multiplicity: float
    dual_multiplicity: float
    is_refused: bool = False
    """True if a layer does not take the widths."""

    @classmethod
    def refused(cls, widths: tuple[int, ...]) -> "Candidate":
        """Return a candidate that a layer does not take, which is never the best."""
        return cls(widths, math.inf, math.inf, 0.0, 0.0, math.inf, is_refused=True)

    @property
    def variance(self) -> float:
        """Primal objective, CE eq. 11 at the primal multiplicity; inf if that is not positive, e.g.
        if shared parts alone exceed the budget."""
        return self.single / self.primal_multiplicity if self.primal_multiplicity > 0 else math.inf

    @property
    def efficiency(self) -> float:
        """Dual objective: the baseline's cost divided by the ensemble's (CE eq. 8 and 15)."""
        return self.share / self.dual_multiplicity

    @property
    def smooth(self) -> float:
        """Variance at the baseline's cost, to minimise; inf if it affords less than one member."""
        return self.single / self.share if self.share >= 1 else math.inf

    @property
    def compact(self) -> float:
        """Cost at the baseline's variance divided by the baseline's cost, to minimise; inf if that
        variance needs less than one member."""
        enough = self.dual_multiplicity >= 1 - MEMBER_ROUNDING and self.share >= 1
        return self.dual_multiplicity / self.share if enough else math.inf

    @property
    def affordable(self) -> float:
        """Variance of the integer number of members that the budget affords, to minimise."""
        members = whole_members(self.primal_multiplicity) if self.primal_multiplicity > 0 else 0
        return self.single / members if members else math.inf


@dataclass(frozen=True)
class Problem:
    """A baseline, the law of its members' variance, and the costs of networks.

    `limits` are those of a budget; without any, the primal is limited to the baseline's cost.
    """

    baseline: Model
    law: Law
    costs: Costs
    limits: tuple[Limit, ...] = ()
    given: tuple[int, ...] | None = None
    """Widths that the answers have, in place of the optimal ones."""
    refusals: dict[tuple[int, ...], str] = field(default_factory=dict, compare=False, repr=False)
    """Widths that were tried and that a layer does not take, each with the reason."""

    @property
    def baseline_widths(self) -> tuple[int, ...]:
        return tuple(int(width) for width in self.baseline.widths)

    @cached_property
    def cost(self) -> float:
        """Cost of the baseline's paths, without shared parts."""
        return self.baseline.multiplicity * self.costs.path(self.baseline.member)

    @cached_property
    def variance(self) -> float:
        """Variance of the baseline. Raises `ValueError` if it is not finite."""
        member = self.baseline.member
        single = self.law(member)
        if not math.isfinite(single):
            raise ValueError(self.law.why_infinite(member))
        return single / self.baseline.multiplicity

    def candidate(self, widths: tuple[int, ...]) -> Candidate:
        """Return the candidate with the given widths.

        If a layer that a plugin adds does not take them, the candidate is refused, and the reason
        is kept.
        """
        try:
            return self._candidate(widths)
        except SpecError as error:
            self.refusals[widths] = error.faults[0].message
            return Candidate.refused(widths)

    def _candidate(self, widths: tuple[int, ...]) -> Candidate:
        member = self.baseline.member.with_widths(widths)
        single, share = self.law(member), self.cost / self.costs.path(member)
        return Candidate(
            widths=widths,
            fan_in_sum=member.fan_in_sum,
            single=single,
            share=share,
            primal_multiplicity=self._bought(widths) if self.limits else share,
            dual_multiplicity=single / self.variance,
        )

    def primal_objective(self, candidate: Candidate) -> float:
        """Compute the objective that the primal minimises; inf if there is no such network."""
        return candidate.affordable if self.limits else candidate.smooth

    def _bought(self, widths: tuple[int, ...]) -> float:
        """Compute the number of members within all limits, counting whole networks."""
        return min(self._within(limit, widths) for limit in self.limits)

    def _within(self, limit: Limit, widths: tuple[int, ...]) -> float:
        return most_members(limit.most, lambda m: limit.cost(self._network(widths, m)))

    def _network(self, widths: tuple[int, ...], multiplicity: int) -> Model:
        return self.baseline.with_members(widths, multiplicity)

    def require_affordable(self, curve: Iterable[Candidate]) -> None:
        """Raise `ValueError` if not even the cheapest network is within the limits."""
        smallest = smallest_widths(self.baseline)
        every = [candidate.widths for candidate in curve]
        for limit in self.limits:
            tried = every if limit.name == "latency" else [smallest]
            least = min(limit.cost(self._network(widths, 1)) for widths in tried)
            if least > limit.most:
                raise ValueError(f"{limit.refusal(least)}; {limit.levers(self.baseline)}")


def smallest_widths(model: Model) -> tuple[int, ...]:
    """Return the least widths in proportion to a model's that its layers take.

    >>> from ceflow.spec import Mlp
    >>> smallest_widths(Mlp(widths=[20, 40]))
    (1, 1)
    """
    given = tuple(int(width) for width in model.widths)
    for widths in candidate_widths(model):
        try:
            model.with_members(widths, 1)
        except SpecError:
            if widths == given:
                raise
        else:
            return widths
    return given

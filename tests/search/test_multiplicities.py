"""From costs to whole members."""

import math
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_problems import mlp, problem

from ceflow.search import Optimum, most_members, nearest_multiplicity, optimise
from ceflow.search.costs import whole_members
from ceflow.search.whole import (
    LARGEST_ROUNDING,
    dual_at,
    near_optimal,
    primal_at,
    whole_dual,
    whole_primal,
)
from ceflow.spec import Model

counts = st.integers(0, 10**7)


@given(fixed=counts, each=st.integers(1, 10**5), target=counts)
def test_nearest_is_that_of_all_whole_numbers(fixed, each, target):
    def cost(m: int) -> int:
        return fixed + each * m

    found = nearest_multiplicity(target, cost)
    around = range(1, max(1, (target - fixed) // each) + 3)
    tried = around if len(around) < 100 else around[-100:]
    assert found >= 1
    assert abs(cost(found) - target) == min(abs(cost(m) - target) for m in tried)


@given(fixed=counts, each=st.integers(1, 10**5), members=st.integers(1, 1000))
def test_a_limit_that_is_met_exactly_buys_all_its_members(fixed, each, members):
    bought = most_members(fixed + each * members, lambda m: fixed + each * m)
    assert whole_members(bought) == members
    one_less = most_members(fixed + each * members - 1, lambda m: fixed + each * m)
    assert whole_members(one_less) == members - 1


def test_nothing_is_bought_at_a_cost_that_is_not_known():
    assert most_members(10.0, lambda m: math.inf) == 0


@pytest.mark.parametrize(("beside", "expected"), [(3.4, 4), (8.7, 8), (0.2, 1), (6.5, 6)])
def test_beside_a_number_only_its_neighbours_count(beside, expected):
    assert nearest_multiplicity(640, lambda m: 100 * m, beside) == expected


class Curve:
    """The law of variances that were measured at some widths."""

    def __init__(self, power: float):
        self.power = power

    def __call__(self, member: Model) -> float:
        return float(member.widths[0] ** -self.power)

    def why_infinite(self, member: Model) -> str:
        return "unknown"


def found(width: int, power: float, members: int = 1) -> Optimum:
    return optimise(problem(mlp([width], members, 20, 5), Curve(power)))


WIDTHS = st.integers(2, 60)
POWERS = st.floats(0.5, 2.0)


def numbers(optimum: Optimum, widths: tuple[int, ...], members: int) -> tuple[float, float]:
    """Cost and variance of a whole network, by the definition."""
    whole = optimum.problem.baseline.with_members(widths, members)
    member = whole.member
    return optimum.problem.costs.whole(whole), optimum.problem.law(member) / members


@settings(max_examples=60, deadline=None)
@given(width=WIDTHS, power=POWERS, members=st.integers(1, 4))
def test_answers_of_whole_members_are_never_worse_than_the_baseline(width, power, members):
    optimum = found(width, power, members)
    baseline = optimum.problem.baseline
    given_cost, given_variance = numbers(optimum, (width,), members)
    assert given_cost == optimum.problem.costs.whole(baseline)
    primal, dual = whole_primal(optimum), whole_dual(optimum)
    cost, variance = numbers(optimum, primal.candidate.widths, primal.members)
    assert variance <= given_variance * (1 + 1e-12)
    assert cost <= given_cost * (1 + LARGEST_ROUNDING)
    cost, variance = numbers(optimum, dual.candidate.widths, dual.members)
    assert cost <= given_cost * (1 + 1e-12)
    assert variance <= given_variance * (1 + LARGEST_ROUNDING) / (1 - LARGEST_ROUNDING**2)


@settings(max_examples=60, deadline=None)
@given(width=WIDTHS, power=POWERS)
def test_members_off_the_curve_are_the_best_of_all_whole_networks(width, power):
    optimum = found(width, power)
    given_cost, given_variance = numbers(optimum, (width,), 1)
    tried = [
        numbers(optimum, (n,), m) for n in range(1, width + 1) for m in range(1, width // n + 1)
    ]
    primal, dual = whole_primal(optimum), whole_dual(optimum)
    if primal.candidate.widths != optimum.primal.widths:
        best = min(v for c, v in tried if c <= given_cost)
        assert numbers(optimum, primal.candidate.widths, primal.members)[1] <= best * (1 + 1e-9)
    if dual.candidate.widths != optimum.dual.widths:
        best = min(c for c, v in tried if v <= given_variance * (1 + 1e-9))
        assert numbers(optimum, dual.candidate.widths, dual.members)[0] <= best * (1 + 1e-9)


def test_half_a_member_more_is_no_answer():
    """32 channels and a curve whose best is 1.5 members of 22, of which one is worse than all."""
    optimum = found(33, 1.0)
    curve = [each for each in optimum.curve if each.widths == (22,)]
    near = replace(optimum, primal=curve[0], smooth=curve[0], dual=curve[0])
    assert primal_at(near, curve[0]).members == 1
    assert whole_primal(near).candidate.widths != (22,)
    kept, left_out = near_optimal(near, 1.0)
    assert curve[0].widths not in [each.candidate.widths for each in kept]
    assert left_out + len(kept) == len(near.near_optimal(1.0))


def test_a_variance_is_kept_where_rounding_down_would_raise_it():
    """Of 3.9 members three have a third more variance: four are taken."""
    optimum = found(40, 1.0)
    candidate = replace(optimum.curve[9], dual_multiplicity=3.9)
    assert dual_at(optimum, candidate).members == 4
    many = replace(candidate, dual_multiplicity=30.9)
    assert dual_at(optimum, many).members in (30, 31)

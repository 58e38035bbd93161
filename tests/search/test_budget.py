"""The least variance within a budget, against all whole networks that are within it."""

import math
from itertools import product

import pytest
from search_problems import ROUNDING, mlp, parameters, problem

from ceflow.compiler.models import expand
from ceflow.search import optimise
from ceflow.search.costs import whole_members
from ceflow.spec import Resnext


def best_mlp(ratio_of: tuple[int, ...], budget: float, alpha: float) -> float:
    """The least variance of m members of any width on the ratio line, by trying them all."""
    found = []
    for n in range(1, 200):
        widths = [max(1, round(n / max(ratio_of) * w)) for w in ratio_of]
        members = math.floor(budget / parameters(widths, 5, 2))
        if members:
            found.append(math.expm1(alpha * sum(1 / w for w in widths)) / members)
    return min(found)


@pytest.mark.parametrize("budget", [30, 75, 500, 20_000])
@pytest.mark.parametrize("base", [(20, 20), (30, 15)])
def test_primal_is_the_best_of_all_networks_within_the_budget(base, budget):
    optimum = optimise(problem(mlp(base, inputs=5, outputs=2), 3.0, parameters=budget))
    best = optimum.primal
    members = whole_members(best.primal_multiplicity)
    assert members * parameters(best.widths, 5, 2) <= budget
    assert best.single / members == pytest.approx(best_mlp(base, budget, 3.0), rel=ROUNDING)


RESNEXT = Resnext(blocks=[1, 1], base_width=48, inputs=(3, 32, 32), outputs=10)


@pytest.mark.parametrize("parameters", [250_000, 1e6])
def test_two_limits_hold_of_the_whole_resnext_and_no_other_within_them_is_better(parameters):
    flops = 200e6
    optimum = optimise(problem(RESNEXT, 3.0, parameters=parameters, flops=flops))
    found = {}
    for n, m in product(range(1, 40), range(1, 60)):
        model = RESNEXT.with_members((n, n), m)
        root = expand(model)
        if root.parameters <= parameters and root.flops <= flops:
            found[n, m] = math.expm1(3.0 * model.fan_in_sum) / m
    best = optimum.primal
    answer = best.widths[0], whole_members(best.primal_multiplicity)
    assert answer in found
    assert found[answer] == min(found.values())


def test_dual_of_a_search_with_a_budget_is_that_without():
    free = optimise(problem(mlp([60, 60]), 3.0))
    held = optimise(problem(mlp([60, 60]), 3.0, parameters=9e3))
    assert held.dual.widths == free.dual.widths
    assert held.dual.efficiency == free.dual.efficiency
    assert held.smooth.widths == free.primal.widths
    assert held.primal.widths != free.primal.widths


def test_budget_of_the_baseline_finds_what_is_found_without():
    # Rounded down it may be another of the valley, but in the real numbers it is the same point.
    model = mlp([500] * 5)
    without = optimise(problem(model, 3.6))
    within = optimise(problem(model, 3.6, parameters=parameters([500] * 5)))
    (point,) = [c for c in within.curve if c.widths == without.primal.widths]
    assert point.primal_multiplicity == pytest.approx(without.primal.primal_multiplicity)
    assert within.primal in within.near_optimal(0.02)


def test_budget_that_no_network_meets_names_the_smallest():
    with pytest.raises(ValueError, match=r"within the budget of 7 param.*has 8 parameters; raise"):
        optimise(problem(mlp([20, 20], inputs=5, outputs=2), 3.0, parameters=7))


def test_of_two_limits_the_one_that_is_broken_is_named():
    with pytest.raises(
        ValueError, match=r"budget of 9 FLOPs.*: .* has 16 FLOPs .*; raise the budget"
    ):
        optimise(problem(mlp([20, 20], inputs=5, outputs=2), 3.0, parameters=1e6, flops=9))

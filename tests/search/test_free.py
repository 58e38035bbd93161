"""The search over every width by itself, against all width vectors there are."""

import math
from itertools import product

import pytest
from search_problems import ROUNDING, mlp, parameters, problem

from ceflow.search import Candidate, Exact, optimise, optimise_freely
from ceflow.spec import Block, Model

SMALL = [
    (mlp([12, 12], inputs=6, outputs=2), 3.0),
    (mlp([9, 14], 3, inputs=20, outputs=1), 3.0),
    (mlp([25, 3], inputs=2, outputs=9), 1.0),
    (mlp([14, 14], inputs=6, outputs=2), Exact()),
    (mlp([8, 8, 8], inputs=10, outputs=3), 3.2),
    (mlp([7, 10, 5], inputs=4, outputs=3), Exact()),
    (Block(channels=32, widths=[16, 16]), 3.0),
]
WIDEST = 24
"""Past the best width of every small problem, and of every baseline's members."""


def everywhere(asked, layers: int) -> list[Candidate]:
    widest = WIDEST if layers == 2 else 16
    return [asked.candidate(widths) for widths in product(range(1, widest + 1), repeat=layers)]


@pytest.mark.parametrize(("model", "law"), SMALL)
@pytest.mark.parametrize("cost", ["parameters", "flops"])
def test_optimum_is_that_of_brute_force(model: Model, law, cost):
    asked = problem(model, law, cost)
    optimum = optimise_freely(asked)
    tried = everywhere(asked, len(asked.baseline_widths))
    assert optimum.smooth.smooth == pytest.approx(min(c.smooth for c in tried), rel=ROUNDING)
    assert optimum.dual.compact == pytest.approx(min(c.compact for c in tried), rel=ROUNDING)
    assert optimum.primal == optimum.smooth


@pytest.mark.parametrize(("model", "law"), SMALL)
@pytest.mark.parametrize("share", [0.2, 0.37, 0.9])
def test_optimum_within_a_budget_is_that_of_brute_force(model: Model, law, share):
    budget = share * problem(model, law).cost
    asked = problem(model, law, parameters=budget)
    optimum = optimise_freely(asked)
    tried = everywhere(asked, len(asked.baseline_widths))
    assert optimum.primal.affordable == pytest.approx(
        min(c.affordable for c in tried), rel=ROUNDING
    )


@pytest.mark.parametrize("law", [3.44, Exact()])
def test_free_widths_do_better_than_a_ratio(law):
    model = mlp([500] * 5)
    ratio, free = optimise(problem(model, law)), optimise_freely(problem(model, law))
    assert free.primal.variance < 0.8 * ratio.primal.variance
    assert free.primal.widths[0] < free.primal.widths[1]  # 748 inputs make the first one dear
    assert free.gap < ROUNDING


def test_free_optimum_is_stationary_in_the_continuous_widths():
    # The law's objective V(n) beta(n) has its minimum within half of a unit of the whole widths, to
    # the curvature: a Newton step in each logarithm from there is of that size.
    optimum = optimise_freely(problem(mlp([500] * 3), 3.3))
    best = optimum.primal.widths

    def log_objective(logs: list[float]) -> float:
        widths = [math.exp(x) for x in logs]
        return math.log(math.expm1(3.3 * sum(1 / w for w in widths)) * parameters(widths))

    logs, h = [math.log(w) for w in best], 1e-4
    for layer, width in enumerate(best):
        down, here, up = (
            log_objective([x + step * (i == layer) for i, x in enumerate(logs)])
            for step in (-h, 0, h)
        )
        newton = -(up - down) / 2 / h / ((up + down - 2 * here) / h**2)
        assert abs(newton) * width < 1.5


def test_curve_of_a_free_search_goes_through_its_primal():
    optimum = optimise_freely(problem(mlp([40, 30]), 3.0))
    assert optimum.primal.widths in {point.widths for point in optimum.curve}
    assert optimum.primal in optimum.near_optimal(0.0)


def test_a_layer_alone_has_no_freedom():
    model = mlp([64])
    assert optimise_freely(problem(model, 3.0)).primal == optimise(problem(model, 3.0)).primal

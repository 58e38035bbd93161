"""Algorithm 2 against figure 3, brute force over the widths, and the duality of CE section 3."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from search_problems import ROUNDING, mlp, parameters, problem

from ceflow.search import Optimum, optimise
from ceflow.search.costs import Counted
from ceflow.spec import Mlp, Model


def search(model: Model, alpha: float, cost: Counted = "parameters", **budget: float) -> Optimum:
    return optimise(problem(model, alpha, cost, **budget))


FIGURE_3 = mlp([500] * 5)


@pytest.mark.parametrize(
    ("alpha", "width", "primal", "dual", "efficiency"),
    [(3.6, 48, 30.24, 12.41, 2.44), (3.44, 46, 31.8, 12.9, 2.46)],
)
def test_figure_3(alpha, width, primal, dual, efficiency):
    best = search(FIGURE_3, alpha).primal
    # As many digits as the table has; where it says 3.44 it stands for 3.41 to 3.44, which moves
    # the multiplicities by 0.06.
    digits = 0.0051 if alpha == 3.6 else 0.06
    assert best.widths == (width,) * 5
    assert best.primal_multiplicity == pytest.approx(primal, abs=digits)
    assert best.dual_multiplicity == pytest.approx(dual, abs=digits)
    assert best.efficiency == pytest.approx(efficiency, abs=0.0051)


def test_curve_of_figure_3_is_the_formula_at_every_width():
    optimum = search(FIGURE_3, 3.6)
    assert [candidate.widths[0] for candidate in optimum.curve] == list(range(1, 501))
    base = math.expm1(3.6 * 5 / 500)
    for n, point in enumerate(optimum.curve, 1):
        single, share = math.expm1(3.6 * 5 / n), parameters([500] * 5) / parameters([n] * 5)
        assert point.variance == pytest.approx(single / share, rel=ROUNDING)
        assert point.efficiency == pytest.approx(share / (single / base), rel=ROUNDING)


@pytest.mark.parametrize("alpha", [0.5, 1.6, 3.0, 3.6, 10.0])
@pytest.mark.parametrize("members", [1, 4])
@pytest.mark.parametrize("base", [(200,), (120, 120, 120), (90, 60, 30), (10, 100)])
def test_optimum_is_that_of_brute_force_over_the_ratio(alpha, members, base):
    budget, largest = members * parameters(base), max(base)
    found = {}
    for k in range(1, 20 * largest):
        widths = tuple(max(1, round(k / largest * n)) for n in base)
        if parameters(widths) <= budget:
            s = sum(1 / n for n in widths)
            found[widths] = math.expm1(alpha * s) * parameters(widths) / budget
    optimum = search(mlp(base, members), alpha)
    assert {candidate.widths for candidate in optimum.curve} == set(found)
    assert optimum.primal.variance == pytest.approx(min(found.values()), rel=ROUNDING)
    assert found[optimum.primal.widths] == pytest.approx(min(found.values()), rel=ROUNDING)


@settings(max_examples=40, deadline=None)  # the number of candidates varies
@given(
    widths=st.lists(st.integers(1, 60), min_size=1, max_size=4),
    members=st.integers(1, 6),
    alpha=st.floats(0.1, 20),
)
def test_primal_and_dual_are_one_problem(widths, members, alpha):
    optimum = search(mlp(widths, members, inputs=5, outputs=2), alpha)
    for point in optimum.curve:
        cost = parameters(point.widths, 5, 2)
        single = math.expm1(alpha * sum(1 / n for n in point.widths))
        assert point.primal_multiplicity * cost == pytest.approx(members * parameters(widths, 5, 2))
        assert single / point.dual_multiplicity == pytest.approx(optimum.problem.variance)
        product = point.efficiency * point.variance / optimum.problem.variance
        assert product == pytest.approx(1, rel=ROUNDING)
    assert optimum.smooth.variance == min(point.variance for point in optimum.curve)
    most = max(p.efficiency for p in optimum.curve if p.dual_multiplicity >= 1 - 1e-9)
    assert optimum.dual.efficiency == pytest.approx(most, rel=ROUNDING)
    assert optimum.gap < ROUNDING or optimum.smooth.dual_multiplicity < 1


@pytest.mark.parametrize("members", [1, 7])
def test_baseline_is_a_candidate_and_as_good_as_itself(members):
    optimum = search(mlp([40, 20], members), 3.0)
    (itself,) = [point for point in optimum.curve if point.widths == (40, 20)]
    assert itself.primal_multiplicity == pytest.approx(members, rel=ROUNDING)
    assert itself.dual_multiplicity == pytest.approx(members, rel=ROUNDING)
    assert itself.efficiency == pytest.approx(1, rel=ROUNDING)
    assert optimum.primal.efficiency >= itself.efficiency


def test_optimal_width_of_an_ensemble_is_that_of_its_member():
    # Budget and variance both scale with m0: the same n, m0 times the members.
    one, many = search(FIGURE_3, 3.6).primal, search(mlp([500] * 5, 3), 3.6).primal
    assert many.widths == one.widths
    assert many.primal_multiplicity == pytest.approx(3 * one.primal_multiplicity, rel=ROUNDING)
    assert many.efficiency == pytest.approx(one.efficiency, rel=ROUNDING)


def test_ensembles_of_networks_too_narrow_are_widened():
    optimum = search(mlp([4] * 5, 100), 3.6)
    assert optimum.primal.widths[0] > 4
    assert optimum.primal.primal_multiplicity < 100


def test_search_stops_where_the_budget_buys_one_network():
    optimum = search(mlp([4] * 5, 100), 3.6)
    widest = optimum.curve[-1]
    assert widest.primal_multiplicity >= 1
    assert parameters([n + 1 for n in widest.widths]) > 100 * parameters([4] * 5)


def test_near_optimal_set_is_all_within_the_tolerance():
    optimum = search(FIGURE_3, 3.6)
    near = optimum.near_optimal(0.02)
    assert all(point.variance <= 1.02 * optimum.primal.variance for point in near)
    outside = [point.variance for point in optimum.curve if point not in near]
    assert min(outside) > 1.02 * optimum.primal.variance
    assert optimum.primal in near
    assert len(near) > 5  # the valley is flat
    assert optimum.near_optimal(0.0) == [optimum.primal]


def test_baseline_of_width_one_is_its_own_optimum():
    optimum = search(mlp([1], inputs=3, outputs=1), 3.4)
    assert [point.widths for point in optimum.curve] == [(1,)]
    assert optimum.primal.primal_multiplicity == optimum.primal.efficiency == 1


def test_flops_and_parameters_agree_without_biases():
    # Two FLOPs a weight: the same optimum.
    assert search(FIGURE_3, 3.6, "flops").primal == search(FIGURE_3, 3.6).primal


def test_flops_and_parameters_differ_with_biases():
    model = Mlp(widths=(6, 6), inputs=2, outputs=1, bias_variance=0.1)
    by = {cost: search(model, 3.0, cost).curve[0] for cost in ("parameters", "flops")}
    assert by["parameters"].primal_multiplicity == pytest.approx((18 + 42 + 7) / (3 + 2 + 2))
    assert by["flops"].primal_multiplicity == pytest.approx((12 + 36 + 6) / (2 + 1 + 1))


def test_large_alpha_overflows_for_narrow_networks_only():
    optimum = search(FIGURE_3, 300.0)
    assert optimum.curve[0].widths[0] == 3  # 300 * 5/2 = 750 is past exp's range of 709
    logs = {n: math.log(math.expm1(1500 / n) * parameters([n] * 5)) for n in range(5, 501)}
    assert optimum.primal.widths[0] == min(logs, key=lambda n: logs[n])
    assert math.isfinite(optimum.primal.dual_multiplicity)


def test_alpha_that_takes_the_baseline_past_all_numbers_is_refused():
    with pytest.raises(ValueError, match="widen the baseline or lower alpha"):
        search(FIGURE_3, 1e5)


@pytest.mark.parametrize("alpha", [1.0, 3.6, 8.0])
def test_primal_and_dual_are_solved_apart_and_agree(alpha):
    optimum = search(FIGURE_3, alpha)
    assert optimum.primal == optimum.smooth == optimum.dual
    assert optimum.gap < ROUNDING


def test_duality_fails_where_the_baseline_varies_more_than_one_member_of_the_primal():
    # Of 9 members of width 2 the variance is that of less than one of the widths at their cost.
    optimum = search(mlp([2, 2, 2], 9, inputs=1, outputs=1), 8.0)
    assert optimum.smooth.dual_multiplicity < 1
    assert optimum.dual.dual_multiplicity >= 1 - 1e-9
    assert optimum.dual.widths != optimum.smooth.widths
    assert optimum.gap == pytest.approx(
        1 - optimum.dual.efficiency * optimum.smooth.variance / optimum.problem.variance
    )
    assert optimum.gap > 0.01

"""The variance of a member: the law, the exact moments, and what was measured."""

import math

import pytest
from search_problems import ROUNDING, mlp, problem

from ceflow.search import Exact, Exponential, Measured, optimise
from ceflow.search.costs import power_laws
from ceflow.spec import Mlp
from ceflow.variance import exact_moments


@pytest.mark.parametrize(
    ("alpha", "width", "expected"),
    [(2.0, 4, math.exp(0.5) - 1), (1e-9, 10**9, 1e-18), (1e6, 1, math.inf)],
)
def test_relative_variance_of_the_law(alpha, width, expected):
    assert Exponential(alpha)(Mlp(widths=[width])) == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize("alpha", [0.0, -0.3, math.nan, math.inf])
def test_alpha_that_is_no_constant_of_the_law_is_refused(alpha):
    with pytest.raises(ValueError, match="nothing to search for; fit it to more draws"):
        Exponential(alpha)


@pytest.mark.parametrize("widths", [(7,), (20, 5), (1, 1, 1)])
def test_exact_law_is_the_variance_of_the_exact_moments(widths):
    member = Mlp(widths=widths)
    mean, second = exact_moments(member)
    assert Exact()(member) == pytest.approx((second - mean**2) / mean**2, rel=ROUNDING)


def test_exact_moments_past_all_numbers_are_infinite():
    assert Exact()(Mlp(widths=(1,) * 1000)) == math.inf


def sums_and_ratios(widths, law):
    members = [Mlp(widths=(n,) * 5) for n in widths]
    return [m.fan_in_sum for m in members], [1 + law(m) for m in members]


def test_a_curve_measured_on_the_law_is_the_law():
    law = Exponential(3.4)
    measured = Measured(*sums_and_ratios((20, 50, 500), law))
    for n in (20, 21, 48, 333, 500):
        member = Mlp(widths=(n,) * 5)
        assert measured(member) == pytest.approx(law(member), rel=1e-11)  # a log of a log
    assert measured(Mlp(widths=(19,) * 5)) == measured(Mlp(widths=(501,) * 5)) == math.inf


def test_a_curve_measured_without_error_finds_the_exact_optimum():
    exact = optimise(problem(mlp([500] * 5), Exact()))
    curve = Measured(*sums_and_ratios((10, 25, 50, 100, 250, 500), Exact()))
    found = optimise(problem(mlp([500] * 5), curve))
    # Five pieces for a factor of 50 in width; the valley is flat, 1 in width is 1e-4 in variance.
    assert found.primal.widths[0] == pytest.approx(exact.primal.widths[0], abs=1)
    assert found.primal.variance == pytest.approx(exact.primal.variance, rel=1e-3)
    assert {point.widths[0] for point in found.curve} == set(range(10, 501))


@pytest.mark.parametrize(
    ("sums", "ratios", "message"),
    [
        ([0.1], [1.3], "at least two widths"),
        ([0.1, 0.2], [1.0, 1.3], "not above 1, is noise"),
        ([0.1, 0.2], [0.98, 1.3], "not above 1, is noise"),
    ],
)
def test_what_is_no_curve_is_refused(sums, ratios, message):
    with pytest.raises(ValueError, match=message):
        Measured(sums, ratios)


def test_a_baseline_that_was_not_measured_is_refused():
    curve = Measured(*sums_and_ratios((20, 50), Exact()))
    with pytest.raises(ValueError, match=r"let the variance stage measure the ratio 1\.0 too"):
        optimise(problem(mlp([500] * 5), curve))


def test_interpolation_is_monotone_and_goes_through_its_points():
    x, y = [1.0, 3.0, 4.0, 90.0], [5.0, 4.9, 0.1, 0.09]
    between = power_laws(x, y)
    assert [between(at) for at in x] == pytest.approx(y, rel=ROUNDING)
    values = [between(math.exp(i / 50 * math.log(90.0) * (1 - 1e-12))) for i in range(51)]
    assert values == sorted(values, reverse=True)


def test_interpolation_needs_two_points():
    with pytest.raises(ValueError, match="at least two points"):
        power_laws([1.0], [1.0])

"""Alpha fitted to moments.

Statistical tests allow at least 5 standard errors of the statistic they look at: an error rate
below 1e-6 each, and seeds are fixed.
"""

from typing import Any

import numpy as np
import pytest
from numpy.typing import ArrayLike

from ceflow import variance
from ceflow.spec import Mlp
from ceflow.variance import Fit, exact_moments

S = np.array([0.02, 0.05, 0.1, 0.2, 0.25])


def fit_alpha(s: ArrayLike, ratios: ArrayLike, stderrs: ArrayLike | None = None) -> Fit:
    """`ceflow.variance.fit_alpha` of arrays."""
    errors = None if stderrs is None else np.asarray(stderrs, float).tolist()
    return variance.fit_alpha(np.asarray(s).tolist(), np.asarray(ratios).tolist(), errors)


@pytest.mark.parametrize("stderrs", [None, [0.1, 0.02, 0.3, 0.1, 0.5]], ids=["exact", "errors"])
def test_fit_recovers_a_planted_alpha(stderrs):
    fit = fit_alpha(S, np.exp(3.44 * S), stderrs)
    assert fit.alpha == pytest.approx(3.44, rel=1e-12)
    np.testing.assert_allclose(fit.residuals, 0, atol=1e-12)
    assert fit.intercept == pytest.approx(0, abs=1e-12)
    assert fit.alpha_with_intercept == pytest.approx(3.44, rel=1e-10)


def test_point_with_a_huge_error_has_no_influence():
    ratios = np.exp(3 * S)
    ratios[2] = 1e6
    fit = fit_alpha(S, ratios, [1e-3, 1e-3, 1e12, 1e-3, 1e-3])
    assert fit.alpha == pytest.approx(3.0, rel=1e-6)
    assert fit.residuals[2] == pytest.approx(np.log(1e6) - 0.3, rel=1e-6)


def test_precise_point_decides():
    fit = fit_alpha([0.1, 0.2], np.exp([0.3, 1.0]), [1e-6, 1.0])
    assert fit.alpha == pytest.approx(3.0, rel=1e-6)


def test_fit_is_the_weighted_least_squares_of_numpy():
    ratios, stderrs = np.exp([0.1, 0.13, 0.4, 0.5, 0.8]), np.array([0.1, 0.2, 0.1, 0.3, 0.2])
    root = ratios / stderrs
    slope = np.linalg.lstsq((root * S)[:, None], root * np.log(ratios), rcond=None)[0][0]
    assert fit_alpha(S, ratios, stderrs).alpha == pytest.approx(slope, rel=1e-10)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_points_without_error_count_as_exact():
    assert fit_alpha([0.1, 0.2], np.exp([0.3, 0.6]), [0.0, 0.0]).alpha == pytest.approx(3.0)


def noisy_fits(repeats: int, points: int, relative: float) -> tuple[list[Fit], np.ndarray]:
    """Fits to a planted alpha of 3 under Gaussian noise of known size, and their known error."""
    random = np.random.default_rng(7)
    s = np.linspace(0.05, 0.3, points)
    errors = relative * (1 + np.arange(points) % 3)
    y = 3 * s + errors * random.standard_normal((repeats, points))
    fits = [fit_alpha(s, np.exp(row), errors * np.exp(row)) for row in y]
    return fits, 1 / np.sqrt((s**2 / errors**2).sum())


def test_standard_error_of_alpha_is_calibrated():
    fits, known = noisy_fits(2000, 40, 0.01)
    alphas = np.array([fit.alpha for fit in fits])
    stderrs = np.array([fit.stderr for fit in fits], float)
    # 2000 repeats: relative error of a deviation 1.6 %, of a mean 0.022 standard errors.
    assert alphas.std() == pytest.approx(known, rel=0.08)
    assert abs(alphas.mean() - 3) < 0.12 * known
    assert (stderrs >= known * (1 - 1e-9)).all()  # the larger of two: never below the known one
    # The scatter of 40 points is known to 11 %, so the larger of both is about 5 % too large.
    assert 0.85 < ((alphas - 3) / stderrs).std() < 1.05


@pytest.mark.parametrize("points", [3, 30])
def test_interval_holds_alpha_at_least_as_often_as_it_says(points):
    fits, _ = noisy_fits(2000, points, 0.01)
    inside = np.mean([fit.interval[0] < 3 < fit.interval[1] for fit in fits if fit.interval])
    # 95 % +- 0.5 % at 2000 repeats; the larger of two errors makes it conservative, no more.
    assert inside > 0.925
    if points == 30:
        assert inside < 0.99


@pytest.mark.parametrize("points", [2, 5, 20])
def test_interval_of_exact_points_covers_95_per_cent(points):
    # Without errors the scatter about the law is all there is: Student's t is exact for Gaussian
    # scatter in proportion to S.
    random = np.random.default_rng(8)
    s = np.linspace(0.05, 0.3, points)
    hits = 0
    for _ in range(2000):
        fit = fit_alpha(s, np.exp(3 * s * (1 + 0.05 * random.standard_normal(points))))
        assert fit.interval is not None
        hits += fit.interval[0] < 3 < fit.interval[1]
    assert hits / 2000 == pytest.approx(0.95, abs=0.025)  # 5 standard errors of 0.49 %


def test_error_grows_where_the_law_does_not_hold():
    ratios = np.exp(3 * S + 5 * S**2)
    honest, precise = 1e-6 * ratios, 1e-3 * ratios
    fits = [fit_alpha(S, ratios, errors) for errors in (honest, precise)]
    # The scatter about the line decides, not the points' errors.
    scatter = np.sqrt((np.array(fits[0].residuals) ** 2).sum() / 4 / (S**2).sum())
    for fit in fits:
        assert fit.stderr == pytest.approx(scatter, rel=1e-9)
    assert scatter > 10 * 1e-3 / np.sqrt((S**2).sum())


def test_leverage_is_what_moving_a_point_does_to_alpha():
    ratios, stderrs = np.exp([0.1, 0.13, 0.4, 0.5, 0.8]), np.array([0.1, 0.2, 0.1, 0.3, 0.2])
    fit = fit_alpha(S, ratios, stderrs)
    assert sum(fit.leverages) == pytest.approx(1)
    for i, leverage in enumerate(fit.leverages):
        move = np.exp(0.01 * (np.arange(5) == i))  # of ratio and error, so that weights stay
        moved = fit_alpha(S, ratios * move, stderrs * move)
        # S dalpha/dy is the share of alpha: linear least squares, so exact
        assert S[i] * (moved.alpha - fit.alpha) / 0.01 == pytest.approx(leverage, rel=1e-9)


def test_exact_points_have_equal_leverage():
    assert fit_alpha(S, np.exp(3 * S)).leverages == pytest.approx([0.2] * 5)


def test_intercept_is_reported_as_what_a_constant_term_would_change():
    fit = fit_alpha(S, np.exp(0.2 + 3 * S))
    assert fit.intercept == pytest.approx(0.2, rel=1e-9)
    assert fit.alpha_with_intercept == pytest.approx(3.0, rel=1e-9)
    assert fit.alpha > 3.5


def test_two_points_leave_no_intercept():
    fit = fit_alpha([0.1, 0.2], [1.3, 1.8])
    assert fit.intercept is None
    assert fit.alpha_with_intercept is None


def test_one_exact_point_has_no_error():
    fit = fit_alpha([0.1], [np.exp(0.34)])
    assert fit.alpha == pytest.approx(3.4)
    assert (fit.stderr, fit.interval, fit.intercept) == (None, None, None)


def test_one_point_with_an_error_passes_it_on():
    ratio = np.exp(0.34)
    fit = fit_alpha([0.1], [ratio], [0.01 * ratio])
    assert fit.stderr == pytest.approx(0.1)  # 1 % of the ratio over S
    assert fit.interval == pytest.approx((3.4 - 0.19600, 3.4 + 0.19600), abs=1e-5)


def test_exact_moments_from_width_20_to_500_give_an_alpha_near_3_4():
    models = [Mlp(widths=(n,) * 5) for n in (20, 40, 80, 200, 500)]
    sums = [5 / model.widths[0] for model in models]
    fit = fit_alpha(sums, [exact_moments(model).ratio for model in models])
    assert 3.3 < fit.alpha < 3.5
    assert fit.interval is not None
    assert fit.interval[0] < 3.44 < fit.interval[1]


SUMS, RATIOS = [0.1, 0.2, 0.3], [1.1, 1.2, 1.3]
WRONG: dict[str, tuple[Any, Any, Any, str]] = {
    "fewer ratios": (SUMS, [1.1], None, "one number of each, not 3 of fan_in_sums, 1 of ratios"),
    "one error for all": (SUMS, RATIOS, [0.1], "not 3 of fan_in_sums, 3 of ratios, 1 of stderrs"),
    "none": ([], [], None, "fan_in_sums must have a number for each point"),
    "no list": (0.1, 1.1, None, "fan_in_sums must have a number for each point"),
    "None": (None, RATIOS, None, "array of numbers is wanted"),
    "NaN": (SUMS, [1.1, np.nan, 1.3], None, "ratios holds NaN or infinity"),
    "a negative S": ([-0.1, 0.2, 0.3], RATIOS, None, "fan_in_sums and ratios must be above 0"),
    "a ratio of 0": (SUMS, [0.0, 1.2, 1.3], None, "fan_in_sums and ratios must be above 0"),
    "a negative error": (SUMS, RATIOS, [-1, 0.1, 0.1], "stderrs must be 0 or more"),
    "an error of NaN": (SUMS, RATIOS, [np.nan, 0.1, 0.1], "stderrs holds NaN or infinity"),
    "sums of all scales": ([1e-300, 1e-200, 1e-180], RATIOS, None, "determine no slope in float64"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_are_no_points_is_refused(case: str):
    sums, ratios, stderrs, says = WRONG[case]
    with pytest.raises(ValueError, match=says):
        variance.fit_alpha(sums, ratios, stderrs)

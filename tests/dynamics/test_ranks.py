"""Rank correlations: against SciPy's, and how often their intervals and p values hold."""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import scipy.stats

from ceflow.dynamics import rank_correlation

stats: Any = scipy.stats  # whose types lack the fields of its results


def samples(rho: float, count: int, times: int, shared: float = 0.0) -> Iterator[np.ndarray]:
    """Draw x, y and g of a normal law; x and y correlate by `rho`, and both with g by `shared`."""
    covariance = [[1, rho, shared], [rho, 1, shared], [shared, shared, 1]]
    random = np.random.default_rng(7)
    for _ in range(times):
        yield random.multivariate_normal(np.zeros(3), covariance, size=count).T


@pytest.mark.parametrize("tied", [False, True])
def test_it_is_that_of_scipy(tied):
    for x, y, _ in samples(0.6, 15, 20):
        pair = (np.round(x), np.round(2 * y)) if tied else (x, y)
        found, theirs = rank_correlation(*pair), stats.spearmanr(*pair)
        assert found.coefficient == pytest.approx(theirs.statistic, abs=1e-12)
        assert found.p_value == pytest.approx(theirs.pvalue, rel=1e-9)


def test_a_partial_one_is_that_of_residuals_of_ranks():
    for x, y, g in samples(0.6, 15, 20, shared=0.5):
        found = rank_correlation(x, y, g)
        ranks = {name: stats.rankdata(each) for name, each in zip("xyg", (x, y, g), strict=True)}
        rests = []
        for name in "xy":
            line = stats.linregress(ranks["g"], ranks[name])
            rests.append(ranks[name] - line.slope * ranks["g"])
        r = stats.pearsonr(*rests).statistic
        assert found.coefficient == pytest.approx(r, abs=1e-12)
        t = r * math.sqrt(12 / (1 - r**2))
        assert found.p_value == pytest.approx(2 * stats.t.sf(abs(t), 12), rel=1e-9)


def test_the_p_value_of_few_points_is_that_of_all_permutations():
    for x, y, _ in samples(0.6, 5, 3):
        theirs = stats.permutation_test(
            (x,),
            lambda each, y=y: stats.spearmanr(each, y).statistic,
            permutation_type="pairings",
            n_resamples=np.inf,
        )
        assert rank_correlation(x, y).p_value == pytest.approx(theirs.pvalue)


def of_normals(r: float) -> float:
    """Compute Spearman's correlation of a normal law from Pearson's."""
    return 6 / math.pi * math.asin(r / 2)


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
@pytest.mark.parametrize("partial", [False, True])
def test_intervals_hold_the_coefficient_as_often_as_they_say(rho, partial):
    truth, shared = of_normals(rho), 0.5 if partial else 0.0
    if partial:
        with_g = of_normals(shared)
        truth = (truth - with_g**2) / (1 - with_g**2)
    held, times = 0, 1000
    for x, y, g in samples(rho, 20, times, shared):
        interval = rank_correlation(x, y, g if partial else None).interval
        assert interval is not None
        held += interval[0] <= truth <= interval[1]
    # 95 % of 20 points, which the formula misses by up to 2 %, and 4 standard errors of 0.7 %: it
    # fails once in 10,000 seeds.
    assert abs(held / times - 0.95) < 0.02 + 4 * 0.007


@pytest.mark.parametrize("count", [8, 20])
@pytest.mark.parametrize("partial", [False, True])
def test_p_values_are_as_rare_as_they_say(count, partial):
    """Of x and y that share g only: their partial correlation is 0."""
    shared, times = 0.3 if partial else 0.0, 400
    below = 0
    for x, y, g in samples(shared**2, count, times, shared):
        below += rank_correlation(x, y, g if partial else None).p_value <= 0.1
    # 10 %, of few points less, as there are few p values; 4 standard errors of 1.5 %.
    assert 0.08 - 4 * 0.015 < below / times < 0.1 + 4 * 0.015


def test_a_perfect_order_has_no_interval_and_a_p_value_above_0():
    few = rank_correlation(range(4), [1, 10, 100, 1000])
    assert (few.coefficient, few.interval) == (1.0, None)
    assert few.p_value == pytest.approx(2 / 24)
    many = rank_correlation(range(12), [-(k**3) for k in range(12)])
    assert (many.coefficient, many.interval) == (-1.0, None)
    assert many.p_value == pytest.approx(2 / math.factorial(12))


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (([1, 2, 3], [1, 2, 3]), "a rank correlation needs 4 points, and there are 3"),
        (([1, 2, 3, 4],) * 3, "a partial rank correlation needs 5 points, and there are 4"),
        (([1, 2, 3, 4], [5, 5, 5, 5]), "all values of y are equal"),
        (([1, 2, 3, 4, 5], [1, 3, 2, 5, 4], [9, 7, 5, 3, 1]), "given determines the order of x"),
    ],
)
def test_what_has_no_correlation_is_said(columns, said):
    with pytest.raises(ValueError, match=said):
        rank_correlation(*columns)

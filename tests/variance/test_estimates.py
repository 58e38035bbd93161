"""Moments from draws with their standard errors, added up chunk by chunk.

Statistical tests allow at least 5 standard errors of the statistic they look at: an error rate
below 1e-6 each, and seeds are fixed.
"""

from collections.abc import Iterator

import numpy as np
import pytest

from ceflow.seeding import Seed
from ceflow.spec import Block, Mlp
from ceflow.variance import estimate_moments, exact_moments, sample_chunks, sample_ntk


def test_estimate_is_the_plain_moments():
    draws = np.array([1.0, 2.0, 4.0, 5.0])
    found = estimate_moments(draws)
    assert (found.mean, found.draws) == (pytest.approx(3.0), 4)
    assert found.ratio == pytest.approx(np.mean(draws**2) / 9)


@pytest.mark.parametrize("unit", [2.0**-500, 2.0**500, 5e-324])
def test_the_size_of_draws_changes_nothing_but_the_mean(unit):
    draws = np.array([0.0, 1.0, 2.0, 4.0, 5.0])
    found = estimate_moments(unit * draws)
    assert found == estimate_moments(draws)._replace(mean=unit * draws.mean())
    chunks = estimate_moments(unit * part for part in (draws[:1], draws[1:]))
    assert chunks[1:] == pytest.approx(found[1:], rel=1e-12)


@pytest.mark.parametrize("draws", [[1.0, np.inf, 2.0], [1.0, np.nan, 2.0], [1.0, -1.0, 0.0]])
def test_draws_without_moments_are_said(draws):
    with pytest.raises(ValueError, match=r"K is not finite|the moments of K"):
        estimate_moments(np.array(draws))


def influence_stderr(k: np.ndarray) -> float:
    """The delta method, written with raw moments."""
    m1, m2 = k.mean(), (k**2).mean()
    gradient = np.array([-2 * m2 / m1**3, 1 / m1**2])
    return float(np.sqrt(gradient @ np.cov(k, k**2) @ gradient / len(k)))


def test_standard_error_is_the_delta_methods():
    k = np.random.default_rng(1).gamma(5.0, size=5000)
    # the raw form cancels some 4 of 16 digits
    assert estimate_moments(k).ratio_stderr == pytest.approx(influence_stderr(k), rel=1e-10)


def test_standard_error_is_the_jackknifes_of_many_draws():
    draws = np.random.default_rng(0).gamma(4.0, size=2000)
    without = [np.delete(draws, i) for i in range(len(draws))]
    ratios = np.array([np.mean(d**2) / np.mean(d) ** 2 for d in without])
    expected = np.sqrt(1999 / 2000 * ((ratios - ratios.mean()) ** 2).sum())
    # they differ by terms of order 1/draws of the largest draw's influence: some 0.1 %
    assert estimate_moments(draws).ratio_stderr == pytest.approx(expected, rel=0.005)


@pytest.mark.parametrize(
    "model", [Mlp(widths=(50, 50)), Block(widths=(32, 32))], ids=["mlp", "block"]
)
def test_standard_error_is_calibrated_on_the_law_it_is_used_for(model):
    random, repeats = np.random.default_rng(2), 300
    exact = exact_moments(model).ratio
    found = [estimate_moments(sample_ntk(model, 1000, random)) for _ in range(repeats)]
    z = np.array([(f.ratio - exact) / f.ratio_stderr for f in found])
    # The deviation of 300 normals has a relative error of 4 %; the skewness of K adds some.
    assert 0.8 < z.std() < 1.3
    assert abs(z.mean()) < 0.4  # 5 standard errors, 0.29, and the bias of a ratio


def test_neither_chunks_nor_their_order_matter_but_to_rounding():
    draws = np.random.default_rng(3).gamma(3.0, size=10_000)
    whole = estimate_moments(draws)
    for size in (1, 7, 4096):
        chunks = [draws[start : start + size] for start in range(0, len(draws), size)]
        for order in (chunks, chunks[::-1]):
            assert estimate_moments(iter(order)) == pytest.approx(whole, rel=1e-10)


def test_a_small_variance_beside_a_large_mean_is_not_lost():
    # Var/E^2 = 1e-12: plain sums of squares would leave 4 digits of it, of fourth powers none.
    noise = np.random.default_rng(4).standard_normal(10_000)
    found = estimate_moments(np.split(1e6 + noise, 10))
    assert found.ratio - 1 == pytest.approx(noise.var() * 1e-12, rel=1e-3)
    assert found.ratio_stderr == pytest.approx(1e-12 * np.sqrt(2 / 10_000), rel=0.1)


def test_float32_draws_are_added_in_double_precision():
    draws = np.full(1000, 0.1, np.float32)
    draws[0] = 0.2
    assert estimate_moments(draws) == estimate_moments(draws.astype(float))


@pytest.mark.parametrize("count", [0, 1, 2])
def test_estimate_refuses_too_few_draws(count):
    with pytest.raises(ValueError, match="at least 3 draws"):
        estimate_moments(np.ones(count))


def test_estimate_refuses_dead_networks_and_an_error_of_nothing():
    with pytest.raises(ValueError, match="all networks were dead"):
        estimate_moments(np.zeros(100))
    with pytest.raises(ValueError, match="error must be above 0, not 0"):
        estimate_moments(np.ones(100), error=0)


@pytest.mark.parametrize("draws", [np.ones((3, 4)), np.ones(()), [1.0, 2.0, 3.0]])
def test_draws_that_are_no_row_are_refused(draws):
    with pytest.raises(ValueError, match="draws of K must be a row of numbers, not of shape"):
        estimate_moments(draws)


def test_three_draws_are_enough():
    assert estimate_moments(np.array([1.0, 3.0, 4.0])).ratio_stderr > 0


@pytest.mark.parametrize("error", [0.2, 0.05, 0.02])
def test_drawing_ends_when_the_error_asked_for_is_reached(error):
    model = Block(widths=(16, 16))
    found = estimate_moments(sample_chunks(model, 64_000, Seed(0)), error=error)
    assert found.error <= error
    half = estimate_moments(sample_chunks(model, found.draws // 2, Seed(0)))
    assert found.draws == 1000 or half.error > error
    exact = np.log(exact_moments(model).ratio)
    assert np.log(found.ratio) == pytest.approx(exact, rel=5 * error)


def test_error_is_looked_at_when_the_draws_have_doubled():
    taken = []

    def chunks() -> Iterator[np.ndarray]:
        for index in range(100):
            taken.append(index)
            yield np.random.default_rng(index).gamma(4.0, size=300)

    found = estimate_moments(chunks(), error=0.03)
    assert found.draws == 300 * len(taken)
    assert found.draws in (1200, 2400, 4800, 9600)


def test_drawing_ends_with_the_draws_where_the_error_is_not_reached():
    found = estimate_moments(sample_chunks(Block(widths=(4, 4)), 2000, Seed(0)), error=1e-9)
    assert found.draws == 2000
    assert found.error > 1e-9

"""Posterior variances, and how well Gaussian predictions agree with targets."""

import numpy as np
import pytest
import scipy.stats
from scipy.special import log_ndtr

from ceflow.kernels import Predictive, calibration_error, log_loss, regression

RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(9, 5))
JOINT = np.exp(-np.square(POINTS[:, None] - POINTS).sum(axis=2) / 4)
K, CROSS, OWN = JOINT[:6, :6], JOINT[6:, :6], np.diag(JOINT)[6:]
NOISE = 0.1


def test_variances_are_those_of_the_conditional_law():
    """By conditioning the joint covariance of noisy targets and outputs: its Schur complement."""
    with regression(K, np.zeros(6), NOISE) as fit:
        variances, rounding = fit.variances(CROSS, OWN)
    noisy = JOINT + np.diag([NOISE] * 6 + [0] * 3)
    precision = np.linalg.inv(noisy)[6:, 6:]
    np.testing.assert_allclose(variances, np.diag(np.linalg.inv(precision)), rtol=1e-10)
    assert (rounding < 1e-13).all()


def test_rounding_moves_variances_by_less_than_the_bound():
    with regression(K, np.zeros(6), 1e-3) as fit:
        exact, _ = fit.variances(CROSS, OWN)
    single = JOINT.astype(np.float32)
    with regression(single[:6, :6], np.zeros(6), 1e-3) as fit:
        rounded, bound = fit.variances(single[6:, :6], np.diag(single)[6:])
    apart = np.abs(rounded - exact)
    assert (apart > 1e-10).all()  # there is rounding to bound
    assert (apart < bound).all()
    assert (bound < 1e-4).all()


def test_targets_drawn_from_the_process_are_covered_as_often_as_they_should_be():
    """Many outputs, one test example. The fraction's standard error is at most 1/(2 sqrt(draws));
    5 are exceeded at one of two levels once in 900,000 seeds. So is the mean of the likelihood's
    squares, whose variance is 2/draws.
    """
    draws = 10_000
    noisy = JOINT[:7, :7] + NOISE * np.eye(7)
    targets = np.linalg.cholesky(noisy) @ RANDOM.normal(size=(7, draws))
    with regression(K, targets[:6], NOISE) as fit:
        variances, _ = fit.variances(CROSS[:1], OWN[:1])
        law = Predictive(CROSS[:1] @ fit.coefficients, variances + NOISE)
    for level in (0.5, 0.9):
        error = np.sqrt(level * (1 - level) / draws)
        assert abs(law.coverage(targets[6:], level) - level) < 5 * error
    entropy = np.log(2 * np.pi * np.e * law.variance[0]) / 2
    assert abs(law.nll(targets[6:]) - entropy) < 5 * np.sqrt(2 / draws) / 2


def test_the_likelihood_is_that_of_normal_numbers():
    law = Predictive(RANDOM.normal(size=(4, 3)), np.array([0.1, 1.0, 2.0, 30.0]))
    targets = RANDOM.normal(size=(4, 3))
    expected = scipy.stats.norm.logpdf(targets, law.mean, np.sqrt(law.variance[:, None]))
    assert law.nll(targets) == pytest.approx(-expected.mean(), rel=1e-12)


def test_of_two_outputs_the_larger_has_a_closed_form():
    means, variance = 10 * RANDOM.normal(size=(20, 2)), RANDOM.uniform(0.1, 3, size=20)
    found = Predictive(means, variance).log_probabilities()
    gaps = (means[:, 0] - means[:, 1]) / np.sqrt(2 * variance)
    exact = log_ndtr(np.stack([gaps, -gaps], axis=1))
    np.testing.assert_allclose(
        found, exact, rtol=1e-9, atol=1e-14
    )  # rounding of probabilities of 1


@pytest.mark.parametrize("scale", [0.1, 3.0, 40.0])
def test_probabilities_of_classes_sum_to_1(scale):
    means = scale * RANDOM.normal(size=(30, 10))
    found = Predictive(means, np.ones(30)).log_probabilities()
    np.testing.assert_allclose(np.exp(found).sum(axis=1), 1, rtol=1e-9)
    assert (found.argmax(axis=1) == means.argmax(axis=1)).all()


@pytest.mark.parametrize(
    "rivals", [[40.0] * 9, [0.0, 0.0], [-3.0, 1.0, 2.0]], ids=["far", "even", "between"]
)
def test_a_small_probability_keeps_its_digits(rivals):
    """By the sum over a fine grid, of an output at 0."""
    grid = np.linspace(-20, 80, 40_001)
    heights = log_ndtr(grid[:, None] - rivals).sum(axis=1) - grid**2 / 2
    top = heights.max()
    step = grid[1] - grid[0]
    exact = top + np.log(np.exp(heights - top).sum() * step / np.sqrt(2 * np.pi))
    found = Predictive(np.array([[0.0, *rivals]]), np.ones(1)).log_probabilities()[0, 0]
    assert found == pytest.approx(exact, abs=1e-9)


def test_means_without_any_doubt_are_certain():
    found = Predictive(np.array([[0.0, 1e6, 3.0]]), np.array([1e-4])).log_probabilities()
    np.testing.assert_allclose(np.exp(found), [[0, 1, 0]])
    assert found[0, 0] == pytest.approx(-(1e8**2) / 4, rel=1e-9)


def test_a_log_loss_is_of_the_true_class():
    logarithms = np.log([[0.2, 0.8], [0.5, 0.5]])
    assert log_loss(logarithms, np.array([0, 1])) == pytest.approx(-np.log([0.2, 0.5]).mean())


def test_the_calibration_error_weighs_bins_by_their_examples():
    """Three predictions of 0.95, of which two are right, and one of 0.55 that is."""
    probabilities = np.array([[0.95, 0.05]] * 3 + [[0.45, 0.55]])
    found = calibration_error(probabilities, np.array([0, 0, 1, 1]))
    assert found == pytest.approx(3 / 4 * (0.95 - 2 / 3) + 1 / 4 * 0.45)
    assert calibration_error(np.array([[1.0, 0.0]]), np.array([0])) == 0

"""Eigenmodes, and the learning curves that they predict."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

from ceflow.kernels import Modes, learning_curve, modes

N, DRAWS = 250, 30


def sphere_kernel(x: np.ndarray) -> np.ndarray:
    """The NTK of one hidden layer of relus, on the sphere."""
    cosines = np.clip(x @ x.T, -1, 1)
    angles = np.arccos(cosines)
    derivatives = (math.pi - angles) / math.pi
    return (np.sin(angles) / math.pi + cosines * derivatives) + cosines * derivatives


def problem(size: int, noise: float) -> tuple[np.ndarray, np.ndarray]:
    """A kernel over points of a sphere, and two targets, with noise."""
    random = np.random.default_rng(7)
    x = random.normal(size=(size, 10))
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    y = np.stack([np.sin(3 * x[:, 0]), 3 * x[:, 1] * x[:, 2]], axis=1)
    return sphere_kernel(x), y + noise * random.normal(size=y.shape)


def errors_of(kernel: np.ndarray, y: np.ndarray, count: int, ridge: float) -> np.ndarray:
    """Errors on unseen examples of regressions on `count` examples, one for each draw of them."""
    random, found = np.random.default_rng(count), []
    for _ in range(DRAWS):
        seen, unseen = np.split(random.permutation(len(y)), [count])
        known = kernel[np.ix_(seen, seen)] + ridge * np.eye(count)
        predicted = kernel[np.ix_(unseen, seen)] @ np.linalg.solve(known, y[seen])
        found.append(np.square(predicted - y[unseen]).mean())
    return np.array(found)


@pytest.mark.parametrize("count", [25, 100, 190])
@pytest.mark.parametrize("ridge", [0.0, 0.3])
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_a_learning_curve_is_that_of_regressions_on_parts_of_the_examples(count, ridge, noise):
    """The theory treats modes as Gaussian: within 6 % in ten dimensions, as measured at 250 to
    1,000 examples. To it five standard errors of the mean over draws are added, which chance
    exceeds once in 10^6 tests; the draws are fixed.
    """
    kernel, y = problem(N, noise)
    errors = errors_of(kernel, y, count, ridge)
    (predicted,) = learning_curve(modes(kernel, y), [count], ridge)
    room = 0.06 * errors.mean() + 5 * errors.std(ddof=1) / math.sqrt(DRAWS)
    assert abs(predicted - errors.mean()) < room


def of_the_papers(eta: np.ndarray, power: np.ndarray, count: int, ridge: float) -> float:
    """The equations of Canatar et al. for examples drawn from infinitely many."""

    def excess(kappa: float) -> float:
        return kappa - ridge - kappa * float((eta / (count * eta + kappa)).sum())

    kappa = brentq(excess, 1e-12, ridge + eta.sum(), xtol=1e-15)
    gamma = count * np.square(eta / (count * eta + kappa)).sum()
    return float((power * np.square(kappa / (count * eta + kappa))).sum() / (1 - gamma))


@pytest.mark.parametrize("ridge", [0.0, 0.01, 1.0])
@pytest.mark.parametrize("count", [3, 30])
def test_few_of_many_examples_are_as_if_drawn_from_infinitely_many(count, ridge):
    """To first order in P/N, with a factor of 2 of room."""
    size = 30_000
    eta, power = (np.arange(1, size + 1) ** -exponent for exponent in (1.5, 1.2))
    (found,) = learning_curve(Modes(size * eta, power), [count], ridge)
    expected = of_the_papers(eta, power, count, ridge)
    assert found == pytest.approx(expected, rel=2 * count / size)


def test_noise_in_modes_that_no_kernel_has_is_that_of_least_squares():
    """Five features and noise: the classical P/(P - R) beyond the number R of features."""
    random = np.random.default_rng(3)
    x, noise = random.normal(size=(N, 5)), random.normal(size=N)
    kernel, y, count = x @ x.T, x.sum(axis=1) + noise, 60
    found = modes(kernel, y)
    rest = noise - x @ np.linalg.lstsq(x, noise, rcond=None)[0]
    expected = np.square(rest).sum() / (N - 5) * count / (count - 5)
    (predicted,) = learning_curve(found, [count])
    assert predicted == pytest.approx(expected, rel=1e-9)
    errors = errors_of(kernel, y, count, 1e-7)
    assert abs(predicted / errors.mean() - 1) < 0.06
    assert learning_curve(found, [5])[0] == math.inf
    # a very small ridge changes little
    assert learning_curve(found, [count], 1e-9)[0] == pytest.approx(predicted, rel=1e-6)


def test_what_is_in_the_modes_is_learned_without_noise():
    x = np.random.default_rng(3).normal(size=(50, 5))
    found = modes(x @ x.T, x[:, 0])
    assert learning_curve(found, [5, 6, 49]) == pytest.approx([0, 0, 0], abs=1e-20)
    assert learning_curve(found, [4])[0] > 0.01


def test_modes_hold_all_of_the_targets():
    kernel, y = problem(60, 0.3)
    found = modes(kernel, y + 1)
    assert (np.diff(found.eigenvalues) <= 0).all()
    assert found.eigenvalues.sum() == pytest.approx(kernel.trace())
    assert found.power.sum() == pytest.approx(np.square(y + 1).mean())
    # <Y, K Y> by modes, and by the matrix: which power goes with which eigenvalue
    weighed = (found.eigenvalues * found.power).sum() * y.size
    assert weighed == pytest.approx(np.vdot(y + 1, kernel @ (y + 1)))


def test_bad_requests_are_answered_with_a_sentence():
    found = modes(np.eye(3), np.ones(3))
    for count in (0, 3):
        with pytest.raises(ValueError, match="over 3 examples is of 1 to 2"):
            learning_curve(found, [count])
    with pytest.raises(ValueError, match="4 targets do not go with a kernel of 3 rows"):
        modes(np.eye(3), np.ones(4))


@pytest.mark.parametrize("unit", [1e-300, 1e300])
def test_a_kernel_in_other_units_has_the_same_curve(unit):
    """Squares of such eigenvalues underflow or overflow."""
    eigenvalues, power = np.array([4.0, 2.0, 1.0, 0.5]), np.ones(4)
    curve = learning_curve(Modes(eigenvalues, power), [1, 2, 3], ridge=0.1)
    other = learning_curve(Modes(unit * eigenvalues, power), [1, 2, 3], ridge=unit * 0.1)
    assert other == pytest.approx(curve, rel=1e-12)

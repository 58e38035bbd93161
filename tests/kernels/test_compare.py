"""Distances between kernels, and their mean and spread, against NumPy over a whole stack."""

import numpy as np
import pytest

from ceflow.kernels import KernelAverage, relative_distance


def stack(spread: float = 1.0, count: int = 7) -> np.ndarray:
    return 2 + spread * np.random.default_rng(0).standard_normal((count, 4, 3))


def counted(kernels: np.ndarray) -> KernelAverage:
    average = KernelAverage()
    for kernel in kernels:
        average.add(kernel)
    return average


def spread_of(kernels: np.ndarray) -> float:
    """`sqrt(sum Var(K_ij) / sum E[K_ij]^2)`, the variance with count - 1."""
    return float(np.sqrt(kernels.var(axis=0, ddof=1).sum() / (kernels.mean(axis=0) ** 2).sum()))


def test_relative_distance_by_hand():
    # differences 3 and 4, reference 6 and 8: 5/10
    assert relative_distance(np.array([[9.0, 12.0]]), np.array([[6.0, 8.0]])) == 0.5


def test_relative_distance_is_zero_to_itself_and_not_symmetric():
    one, two = stack()[0], 3 * stack()[0]
    assert relative_distance(one, one) == 0
    assert relative_distance(two, one) == pytest.approx(2, rel=1e-15)
    assert relative_distance(one, two) == pytest.approx(2 / 3, rel=1e-15)


@pytest.mark.parametrize("count", [2, 3, 50])
def test_mean_and_spread_are_those_of_the_stack(count: int):
    kernels = stack(count=count)
    average = counted(kernels)
    assert average.count == count
    # sums of up to 50 numbers of order 1, in another order
    np.testing.assert_allclose(average.mean, kernels.mean(axis=0), rtol=1e-14)
    assert average.spread == pytest.approx(spread_of(kernels), rel=1e-12)


@pytest.mark.parametrize("spread", [1e-3, 1e-6, 1e-9])
def test_a_small_spread_keeps_its_digits(spread: float):
    kernels = stack(spread)
    # the entries are rounded to 2e-16, so their deviations to 2e-16/spread, relatively
    tolerance = 1e-15 / spread + 1e-12
    assert counted(kernels).spread == pytest.approx(spread_of(kernels), rel=tolerance)


def test_equal_kernels_have_no_spread():
    assert counted(np.array([stack()[0]] * 3)).spread <= 1e-15  # the mean may be rounded


def test_float32_kernels_are_averaged_in_float64():
    kernels = np.full((3000, 1, 1), 0.1, dtype=np.float32)
    average = counted(kernels)
    assert average.mean.dtype == np.float64
    # 3000 roundings of 1e-16; in float32 the sum would be off by some 1e-5
    np.testing.assert_allclose(average.mean, kernels[0].astype(float), rtol=1e-12)


def test_what_is_added_may_change_later():
    kernel = np.ones((2, 2))
    average = KernelAverage()
    average.add(kernel)
    kernel *= 5
    np.testing.assert_array_equal(average.mean, 1)


def test_a_mean_needs_a_kernel_and_a_spread_two():
    average = KernelAverage()
    with pytest.raises(ValueError, match="no kernel"):
        _ = average.mean
    average.add(np.eye(2))
    np.testing.assert_array_equal(average.mean, np.eye(2))
    with pytest.raises(ValueError, match="two kernels"):
        _ = average.spread


def test_distance_from_nothing_is_refused():
    with pytest.raises(ValueError, match="is 0"):
        relative_distance(np.eye(2), np.zeros((2, 2)))

"""What is relative does not depend on the size of numbers: nothing overflows, vanishes, or is
taken for 0."""

from collections.abc import Callable

import numpy as np
import pytest

from ceflow.dynamics import relative_drift
from ceflow.kernels import KernelAverage, alignment, fit, norm, relative_distance

RANDOM = np.random.default_rng(0)
FEATURES = RANDOM.normal(size=(6, 9))
KERNEL = FEATURES @ FEATURES.T
OTHER = KERNEL + np.eye(6)
Y = RANDOM.normal(size=(6, 2))


def average(size: float) -> KernelAverage:
    found = KernelAverage()
    for kernel in (KERNEL, OTHER, 2 * KERNEL):
        found.add(size * kernel)
    return found


RELATIVE: dict[str, Callable[[float], float]] = {
    "norm": lambda size: norm(size * KERNEL) / size,
    "distance": lambda size: relative_distance(size * OTHER, size * KERNEL),
    "alignment": lambda size: alignment(size * KERNEL, Y),
    "alignment, centred": lambda size: alignment(size * KERNEL, Y, centred=True),
    "alignment of targets": lambda size: alignment(KERNEL, size * Y, centred=True),
    "spread": lambda size: average(size).spread,
    "mean": lambda size: norm(average(size).mean) / size,
    "standard error": lambda size: norm(average(size).stderr) / size,
    "drift": lambda size: relative_drift(size * OTHER[None], size * KERNEL[None])[0],
    "regression": lambda size: size * norm(fit(size * KERNEL, Y)),
}


@pytest.mark.parametrize("size", [2.0**-1000, 1e-200, 1e-90, 1e90, 1e200, 1e300])
@pytest.mark.parametrize("name", RELATIVE)
def test_what_is_relative_is_the_same_at_every_size(name: str, size: float):
    # some hundred roundings; of a regression as many as its condition number, below 1e4, allows
    np.testing.assert_allclose(RELATIVE[name](size), RELATIVE[name](1.0), rtol=1e-11)


@pytest.mark.parametrize("name", ["distance", "drift"])
def test_single_precision_is_squared_in_double(name: str):
    kernel, other = (1e-25 * each.astype(np.float32) for each in (KERNEL, OTHER))
    found = {
        "distance": lambda: relative_distance(other, kernel),
        "drift": lambda: relative_drift(other[None], kernel[None])[0],
    }[name]()
    # entries are rounded to 24 bits
    np.testing.assert_allclose(found, RELATIVE[name](1.0), rtol=1e-6)


def test_a_norm_is_0_of_zeros_alone():
    assert norm(np.zeros(3)) == norm(np.zeros(0)) == 0
    assert norm(np.array([5e-324])) == 5e-324
    assert norm(np.array([1.0, np.inf])) == np.inf
    assert np.isnan(norm(np.array([1.0, np.nan])))


def test_a_zero_kernel_is_called_one():
    with pytest.raises(ValueError, match="are all inputs 0"):
        fit(0 * KERNEL, Y)

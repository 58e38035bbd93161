"""Norm 1, and mean 0 with variance 1: at any size of number, and of constants to rounding."""

from typing import Any

import numpy as np
import pytest

from ceflow.data import load
from ceflow.data.normalising import standard, unit
from ceflow.seeding import Seed
from ceflow.spec import Npz, SpecError

SIZES = [5e-324, 1e-310, 1e-200, 1e-8, 1.0, 1e6, 1e200, 1.7e308]
"""From the least number to nearly the largest."""

EPS = 2.0**-52


@pytest.mark.parametrize("size", SIZES)
def test_a_row_has_norm_one_at_any_size(size: float):
    x = size * np.array([[1.0, 1.0], [0.0, -1.0], [0.0, 0.0]])
    # a root, a sum of two squares and a quotient: a rounding each
    np.testing.assert_allclose(
        unit(x), [[0.5**0.5, 0.5**0.5], [0, -1], [0, 0]], rtol=3 * EPS, atol=0
    )


@pytest.mark.parametrize("size", SIZES[2:])
def test_a_column_has_mean_0_and_variance_1_at_any_size(size: float):
    x = size * np.random.default_rng(0).uniform(-1, 1, (50, 3))
    found = standard(x, x)
    # 50 roundings of numbers below 2
    np.testing.assert_allclose(found.mean(0), 0, atol=100 * EPS)
    np.testing.assert_allclose(found.std(0), 1, rtol=100 * EPS)


@pytest.mark.parametrize("count", [1, 2, 3, 10, 12, 1000, 60_000])
@pytest.mark.parametrize("constant", [0.0, 0.1, -0.3, 1 / 3, 1e-200, 1e-310, 1e200, 1e6 + 0.1])
def test_a_constant_becomes_0_and_a_test_value_its_distance(constant: float, count: int):
    train = np.full((count, 1), constant)
    np.testing.assert_array_equal(standard(train, train), 0)
    away = constant + max(abs(constant), 1e-5)
    # a difference is rounded once, of numbers twice as large
    np.testing.assert_allclose(
        standard(np.array([[away]]), train), [[away - constant]], rtol=2 * EPS
    )


def test_a_constant_to_rounding_is_one():
    x = np.array([0.1, 0.1 + 2**-56, 0.1 - 2**-56, 0.3 - 0.2])[:, None]
    assert len(np.unique(x)) > 1
    np.testing.assert_array_equal(standard(x, x), 0)


@pytest.mark.parametrize("change", [1e-12, 1e-9, 1e-3])
def test_a_small_change_of_a_large_number_is_no_constant(change: float):
    x = 1 + change * np.array([[-1.0], [1.0]])
    # x itself is rounded, by up to EPS/2 of the change of 1
    np.testing.assert_allclose(standard(x, x), [[-1], [1]], rtol=EPS / change)


def test_columns_do_not_touch_each_other():
    x = np.random.default_rng(0).normal(size=(9, 4)) * [1e-200, 1, 1e200, 0] + [0, 5, 0, 0.1]
    together = standard(x, x)
    for column in range(4):
        alone = x[:, column : column + 1]
        np.testing.assert_array_equal(together[:, column : column + 1], standard(alone, alone))


TOO_LARGE: list[dict[str, Any]] = [
    {"scale": 1e308},
    {"scale": 1e308, "normalise": "standard"},
    {"normalise": "standard", "x_test": np.array([[1e300]]), "x": np.array([[1e-300], [2e-300]])},
]


@pytest.mark.parametrize("keys", TOO_LARGE)
def test_inputs_that_overflow_are_refused(keys: dict[str, Any], tmp_path: Any):
    keys = {"x": np.array([[0.0], [0.0], [50.0]]), "x_test": np.array([[99.0]]), **keys}
    x, test = keys.pop("x"), keys.pop("x_test")
    np.savez(tmp_path / "a.npz", x=x, y=x, x_test=test, y_test=test)
    with pytest.raises(SpecError, match="the inputs are too large") as caught:
        load(Npz(path="a.npz", **keys), tmp_path, Seed(0))
    assert caught.value.faults[0].path == ("data", "scale")

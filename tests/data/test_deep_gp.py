"""Targets from a deep Gaussian process: their law, their seeds, and one draw for all examples."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose

from ceflow.data import deep_gaussian_process, generated, load
from ceflow.seeding import Seed
from ceflow.spec import DeepGp


def loaded(seed: int = 0, **keys: Any) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and targets of all examples, of which six train and four test unless said."""
    dataset = load(DeepGp(**{"inputs": 3, "train": 6, "test": 4, **keys}), Path(), Seed(seed))
    parts = (dataset.train, dataset.test)
    return np.concatenate([p.x for p in parts]), np.concatenate([p.y for p in parts])


def covariance(x: np.ndarray, length: float) -> np.ndarray:
    apart = np.square(x[:, None] - x[None]).sum(-1)
    return np.exp(-apart / (2 * length**2 * x.shape[1]))


def test_one_layer_has_the_covariance_it_says():
    """Over 4,000 outputs, which are independent functions: each of 55 means within 5 standard
    errors, which fails by chance once in 30,000 such tests."""
    x = np.random.default_rng(0).normal(size=(10, 3))
    y = deep_gaussian_process(x, 4000, Seed(0), layers=1, length=1.5)
    products = y[:, None] * y[None]
    error = products.std(-1) / 4000**0.5
    assert (abs(products.mean(-1) - covariance(x, 1.5)) < 5 * error).all()


def test_two_layers_have_theirs():
    """A hidden difference is normal of variance 2(1 - k), so the covariance over draws is
    `(1 + 2(1 - k)/(length^2 hidden))^(-hidden/2)`. Over 600 seeds, within 5 standard errors."""
    hidden, length, x = 1, 0.5, np.random.default_rng(0).normal(size=(3, 2))
    draws = np.stack(
        [
            deep_gaussian_process(x, 1, Seed(seed), hidden=hidden, length=length)[:, 0]
            for seed in range(600)
        ]
    )
    products = draws[:, :, None] * draws[:, None]
    exact = (1 + 2 * (1 - covariance(x, length)) / (length**2 * hidden)) ** (-hidden / 2)
    error = products.std(0) / 600**0.5
    assert (abs(products.mean(0) - exact) < 5 * error).all()
    assert abs(exact - covariance(x, length)).max() > 0.1  # so that one layer would be seen


def test_inputs_are_standard_normal():
    """6,000 numbers: mean and variance within 5 standard errors."""
    x = loaded(inputs=50, train=100, test=20, layers=1)[0]
    assert abs(x.mean()) < 5 / 6000**0.5
    assert abs(x.var() - 1) < 5 * (2 / 6000) ** 0.5


def test_all_targets_are_of_one_draw_with_mean_0_and_variance_1_in_training():
    x, y = loaded(outputs=2)
    drawn = deep_gaussian_process(x, 2, Seed(0).fold("targets"))
    mean, deviation = drawn[:6].mean(0), drawn[:6].std(0)
    np.testing.assert_allclose(y, (drawn - mean) / deviation, rtol=1e-10)


def test_one_training_example_has_no_variance():
    assert (loaded(train=1)[1][0] == 0).all()


def test_the_seed_decides_all_of_it():
    for one, two, other in zip(loaded(), loaded(), loaded(seed=1), strict=True):
        np.testing.assert_array_equal(one, two)
        assert abs(one - other).max() > 0.1


def test_inputs_do_not_depend_on_the_function():
    np.testing.assert_array_equal(loaded()[0], loaded(layers=3, hidden=2, outputs=5)[0])


def test_targets_are_of_the_inputs_before_they_are_scaled():
    (x, y), (scaled, same) = loaded(), loaded(scale=0.1)
    np.testing.assert_allclose(scaled, 0.1 * x)
    np.testing.assert_array_equal(y, same)


def test_longer_functions_are_smoother():
    x = np.linspace(-1, 1, 50)[:, None]
    rough, smooth = (
        np.square(np.diff(deep_gaussian_process(x, 100, Seed(0), length=length), axis=0)).sum()
        for length in (0.5, 4.0)
    )
    assert smooth < rough / 10


@pytest.mark.parametrize(("size", "length"), [(1.0, 1e-300), (1e200, 1e-200), (1e-200, 1e-300)])
def test_at_a_short_length_values_are_independent(size, length):
    """However large or small: variance 1 within 5 standard errors, those of equal inputs equal."""
    x = size * np.random.default_rng(0).normal(size=(3, 2))
    y = deep_gaussian_process(x[[0, 0, 1, 2]], 2000, Seed(0), layers=1, length=length)
    np.testing.assert_allclose(y[0], y[1], atol=1e-3)
    np.testing.assert_allclose(np.cov(y[1:]), np.eye(3), atol=5 * np.sqrt(2 / 2000))


def test_a_length_counts_by_the_size_of_inputs():
    x = np.random.default_rng(0).normal(size=(5, 2))
    y = deep_gaussian_process(x, 2, Seed(0), layers=1, length=2.0)
    far = deep_gaussian_process(2.0**600 * x, 2, Seed(0), layers=1, length=2.0**601)
    np.testing.assert_array_equal(y, far)


def test_equal_inputs_have_equal_targets():
    """To the root of the jitter, 1e-9, that makes the Cholesky factor exist."""
    y = deep_gaussian_process(np.ones((4, 3)), 5, Seed(0))
    np.testing.assert_allclose(y, y[:1].repeat(4, 0), atol=1e-3)


@pytest.mark.parametrize("wrong", [{"layers": 0}, {"hidden": 0}, {"length": 0.0}, {"outputs": 0}])
def test_what_is_no_process_is_refused(wrong):
    asked = {"outputs": 1} | wrong
    with pytest.raises(ValueError, match="at least 1 layer, 1 hidden function and 1 output"):
        deep_gaussian_process(np.ones((2, 1)), asked.pop("outputs"), Seed(0), **asked)


@pytest.mark.parametrize("rows", [1, 7, 64, 100])
def test_in_blocks_it_is_the_same_draw(rows: int, monkeypatch: pytest.MonkeyPatch):
    x = np.random.default_rng(0).normal(size=(100, 3))
    whole = deep_gaussian_process(x, 2, Seed(0))
    monkeypatch.setattr(generated, "LAPACK_ROWS", rows)
    # Rounding by the root of the covariance's condition, which the jitter of 1e-9 bounds.
    assert_allclose(deep_gaussian_process(x, 2, Seed(0)), whole, atol=1e-9)


@pytest.mark.slow
def test_so_many_points_that_lapack_alone_would_crash():
    """The last hundred are the first again, apart by the jitter, of deviation 4e-5."""
    x = np.random.default_rng(0).normal(size=(17_000, 3))
    x[-100:] = x[:100]
    y = deep_gaussian_process(x, 1, Seed(0), layers=1)
    assert y[:100].std() > 0.05
    assert_allclose(y[-100:], y[:100], atol=3e-4)

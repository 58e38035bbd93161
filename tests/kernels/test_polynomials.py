"""The polynomials against mpmath, and their tables generated again."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

from ceflow.kernels.infinite import polynomials
from ceflow.kernels.infinite.polynomials import angle_of, cosine, half_angle_squares, relu_angle

mp.dps = 60
DTYPES = ["float64", "float32"]


def sine(s: Any) -> Any:
    return mpmath.sin(mpmath.sqrt(s)) / mpmath.sqrt(s)


def arcsine(s: Any) -> Any:
    return mpmath.asin(mpmath.sqrt(s)) / mpmath.sqrt(s)


def after_relu(t: Any) -> Any:
    """The angle after ReLU, of an arccosine: half of 60 digits are lost near 0 and pi."""
    return mpmath.acos((mpmath.sin(t) + (mp.pi - t) * mpmath.cos(t)) / mp.pi)


TABLES = {
    "SINE": (sine, mp.pi**2 / 4),
    "ARCSINE": (arcsine, mpf(1) / 2),
    "RELU_ANGLE": (lambda t: after_relu(t) / t, mp.pi),
}


def chebyshev(function: Callable[[Any], Any], end: Any, points: int = 64) -> list[float]:
    """The Chebyshev coefficients on [0, end], from the values at so many Chebyshev points."""
    turns = [mp.pi * (j + mpf(1) / 2) / points for j in range(points)]
    values = [function(end / 2 * (1 + mpmath.cos(turn))) for turn in turns]
    sums = [
        mpmath.fsum(v * mpmath.cos(k * turn) for v, turn in zip(values, turns, strict=True))
        for k in range(points)
    ]
    return [float((2 if k else 1) * total / points) for k, total in enumerate(sums)]


@pytest.mark.parametrize("name", TABLES)
def test_tables_are_chebyshev_series_and_end_below_an_ulp(name: str):
    function, end = TABLES[name]
    table, exact = getattr(polynomials, name), chebyshev(function, end)
    np.testing.assert_array_equal(table, exact[: len(table)])
    assert sum(map(abs, exact[len(table) :])) < 1e-17  # a tenth of an ulp of 1


def grid(dtype: str) -> np.ndarray:
    small = 10.0 ** -np.arange(1, 16)
    points = np.concatenate([[0, 0.5], small, np.linspace(0.01, 3.13, 80), math.pi - small])
    return np.minimum(points.astype(dtype), np.dtype(dtype).type(math.pi))


def relative_errors(found: Any, exact: Callable[[Any], Any], at: np.ndarray) -> np.ndarray:
    """In units of eps of the exact value; where that is 0 the found one must be."""
    assert np.asarray(found).dtype == at.dtype
    pairs = [(mpf(float(f)), exact(mpf(float(t)))) for f, t in zip(found, at, strict=True)]
    assert all(f == 0 for f, e in pairs if e == 0)
    return np.array([float(abs(f / e - 1)) for f, e in pairs if e]) / np.finfo(at.dtype).eps


# Horner's rule, some products and at most a root: a few roundings of half an eps each.
ROUNDINGS = 3


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_angle_after_relu_keeps_its_relative_digits(dtype: str):
    t = grid(dtype)
    with jax.enable_x64(dtype == "float64"):
        found = np.asarray(relu_angle(jnp.asarray(t)))
    exact = lambda t: after_relu(t) if t else mpf(0)  # noqa: E731
    assert relative_errors(found, exact, t).max() <= ROUNDINGS


@pytest.mark.parametrize("dtype", DTYPES)
def test_squares_of_half_angles(dtype: str):
    t = grid(dtype)
    with jax.enable_x64(dtype == "float64"):
        s, k = map(np.asarray, half_angle_squares(jnp.asarray(t)))
    assert relative_errors(s, lambda t: mpmath.sin(t / 2) ** 2, t).max() <= ROUNDINGS
    # pi - t, with pi rounded to this precision
    rest = np.dtype(dtype).type(math.pi) - t
    assert relative_errors(k, lambda r: mpmath.sin(r / 2) ** 2, rest).max() <= ROUNDINGS


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_cosine_is_one_at_zero(dtype: str):
    t = grid(dtype)
    with jax.enable_x64(dtype == "float64"):
        found = np.asarray(cosine(jnp.asarray(t)))
    assert found[0] == 1
    errors = [abs(mpf(float(c)) - mpmath.cos(mpf(float(a)))) for c, a in zip(found, t, strict=True)]
    assert max(errors) <= ROUNDINGS * np.finfo(dtype).eps  # 1 - 2 s, s up to 1/2


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_angle_of_its_squares(dtype: str):
    s = np.concatenate([[0], 10.0 ** -np.arange(1, 20), np.linspace(0, 1, 200)]).astype(dtype)
    with jax.enable_x64(dtype == "float64"):
        found = np.asarray(angle_of(jnp.asarray(s), 1 - jnp.asarray(s)))
    below = s <= 0.5  # above, 1 - s is what is exact
    exact = lambda s: 2 * mpmath.asin(mpmath.sqrt(s))  # noqa: E731
    assert relative_errors(found[below], exact, s[below]).max() <= ROUNDINGS
    k = (1 - s)[~below]
    assert relative_errors(found[~below], lambda k: mp.pi - exact(k), k).max() <= ROUNDINGS


def test_the_slope_after_relu_is_one_at_zero_and_none_at_pi(x64: None):
    slope = jax.jit(jax.vmap(jax.grad(relu_angle)))
    t = jnp.array([0.0, 1e-9, 0.3, 0.5, 1.0, 3.0, math.pi])
    # d cos t'/dt = -(pi - t) sin t / pi; near 0 the slope is 1 - O(t)
    expected = (math.pi - t[2:]) * jnp.sin(t[2:]) / (math.pi * jnp.sin(relu_angle(t[2:])))
    np.testing.assert_allclose(slope(t)[:2], 1, rtol=1e-8)
    # a polynomial's derivative loses up to its degree squared, 1200, of a term's 1e-17
    np.testing.assert_allclose(slope(t)[2:], expected, rtol=0, atol=2e-14)

"""Activations with a kink on unnormalised moments, against mpmath and their own derivatives."""

import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from ceflow.kernels.infinite.kinks import after_kink
from ceflow.spec.models import SLOPES


def angle_after(below: float, t: float) -> float:
    """The angle after the activation: that of relu (arccosine kernel), mixed with that before."""
    with mpmath.workdps(50):
        cosine, w = mpmath.cos(t), 2 * mpmath.mpf(below) / (1 + mpmath.mpf(below) ** 2)
        relu = (mpmath.sin(t) + (mpmath.pi - t) * cosine) / mpmath.pi
        return float(mpmath.acos(w * cosine + (1 - w) * relu))


def angles(dtype: str) -> np.ndarray:
    small = 10.0 ** -np.arange(1, 8 if dtype == "float32" else 15)
    return np.concatenate([[0, math.pi], small, math.pi - small, np.linspace(0.01, 3.13, 50)])


@pytest.mark.parametrize("name", SLOPES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_angles_and_slopes_have_errors_of_a_few_eps(name: str, dtype: str):
    t, below = angles(dtype), SLOPES[name]
    size, gain = 3.0, (1 + below**2) / 2
    with jax.enable_x64(dtype == "float64"):
        squares = (4 * size * f(t / 2) ** 2 for f in (np.sin, np.cos))
        found = after_kink(below, *(jnp.asarray(each.astype(dtype)) for each in squares))
    apart, together, slope = (np.asarray(each) for each in found)
    assert apart.dtype == dtype
    eps = float(np.finfo(dtype).eps)
    after = 2 * np.arctan2(np.sqrt(apart.astype(float)), np.sqrt(together.astype(float)))
    exact = np.array([angle_after(below, float(each)) for each in t])
    assert np.abs(after - exact).max() < 4 * eps
    assert (apart >= 0).all()
    assert apart[0] == 0
    np.testing.assert_allclose(apart + together, 4 * gain * size, rtol=4 * eps)
    w = below / gain
    np.testing.assert_allclose(slope, gain * (1 - (1 - w) * t / np.pi), atol=8 * eps)


@pytest.mark.parametrize("name", SLOPES)
def test_the_derivative_of_the_covariance_is_the_slope(name: str, x64: None):
    """`d E[phi phi]/dc = E[phi' phi']`, also for equal and opposite values."""
    below = SLOPES[name]

    def covariance(c: jax.Array) -> jax.Array:
        apart, together, _ = after_kink(below, 2 - 2 * c, 2 + 2 * c)
        return (together - apart) / 4

    c = jnp.asarray(np.concatenate([[1.0, -1.0, 1 - 1e-12], np.linspace(-0.99, 0.99, 7)]))
    found = jax.vmap(jax.grad(covariance))(c)
    slope = after_kink(below, 2 - 2 * c, 2 + 2 * c)[2]
    np.testing.assert_allclose(found, slope, rtol=1e-12)


def test_the_derivative_of_the_slope_is_none_at_equal_values(x64: None):
    slope = jax.grad(lambda apart: after_kink(0.0, apart, 4 - apart)[2])
    assert slope(jnp.asarray(0.0)) == 0
    t = 0.7  # apart = 4 sin^2(t/2), so that d apart/dt = 2 sin t
    expected = -1 / (2 * math.pi) / (2 * math.sin(t))
    assert float(slope(4 * jnp.sin(t / 2) ** 2)) == pytest.approx(expected, rel=1e-12)

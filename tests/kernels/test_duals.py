"""Dual activations against integrals over two Gaussians at 30 digits, and at their limits."""

import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from mpmath import mp, mpf

from ceflow.kernels.infinite.duals import DUALS, dual, kinked
from ceflow.kernels.infinite.moments import biased, from_angle
from ceflow.nets import ACTIVATIONS

mp.dps = 60
Q1, Q2, ANGLES = 0.7, 1.9, [0.0, 1e-3, 0.8, 2.0, math.pi - 1e-3, math.pi]


def wedge(f: Callable[[Any], Any], q1: float, q2: float, t: float, degree: int) -> Any:
    """`E[f(z1) f(z2)]` of a positively homogeneous f, in polar coordinates, kink by kink."""
    turns = (-mp.pi / 2, mp.pi / 2, t - mp.pi / 2, t + mp.pi / 2)
    kinks = sorted([-mp.pi, mp.pi, *(a if a <= mp.pi else a - 2 * mp.pi for a in turns)])
    total = mpmath.quad(lambda a: f(mpmath.cos(a)) * f(mpmath.cos(a - t)), kinks) / (2 * mp.pi)
    return (2 * mpmath.sqrt(mpf(q1) * q2) if degree else 1) * total


def smooth(f: Callable[[Any], Any], q1: float, q2: float, t: float) -> Any:
    """The same by the trapezoid rule in z1 and the part of z2 that is independent of it."""
    z = np.arange(-88, 89) / 8  # exp(-(2 pi 8)^2/2) between nodes, exp(-11^2/2) beyond
    weight = [mpmath.exp(-(mpf(v) ** 2) / 2) / mpmath.sqrt(2 * mp.pi) / 8 for v in z]
    weights = np.array(weight, float)
    first = np.array([float(f(math.sqrt(q1) * v)) for v in z])
    inner = math.sqrt(q2) * (math.cos(t) * z[:, None] + math.sin(t) * z)
    return weights @ (first[:, None] * np.vectorize(lambda v: float(f(v)))(inner)) @ weights


def normal_cdf(x: float) -> float:
    return math.erfc(-x / math.sqrt(2)) / 2


def normal_pdf(x: float) -> float:
    return math.exp(-x * x / 2) / math.sqrt(2 * math.pi)


SMOOTH: dict[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "erf": (math.erf, lambda x: 2 / math.sqrt(math.pi) * math.exp(-x * x)),
    "gelu": (lambda x: x * normal_cdf(x), lambda x: normal_cdf(x) + x * normal_pdf(x)),
    "sin": (math.sin, math.cos),
    "cos": (math.cos, lambda x: -math.sin(x)),
    "tanh": (math.tanh, lambda x: 1 / math.cosh(x) ** 2),
    "softplus": (lambda x: math.log1p(math.exp(x)), lambda x: 1 / (1 + math.exp(-x))),
    "silu": (
        lambda x: x / (1 + math.exp(-x)),
        lambda x: (1 + math.exp(-x) * (1 + x)) / (1 + math.exp(-x)) ** 2,
    ),
}
BELOW = {"relu": 0.0, "leaky-relu": 0.01, "abs": -1.0, "linear": 1.0}


def moments_at(t: Any) -> Any:
    return from_angle(jnp.array(Q1), jnp.array(Q2), jnp.asarray(t))


def test_every_activation_is_tested():
    assert SMOOTH.keys() | BELOW.keys() == ACTIVATIONS.keys()


@pytest.mark.parametrize("name", BELOW)
def test_kinked_duals_are_gaussian_expectations(name: str, x64: None):
    below = BELOW[name]
    found = dual(name, moments_at(ANGLES))
    for index, t in enumerate(ANGLES):
        value = wedge(lambda x: x if x > 0 else below * x, Q1, Q2, t, 1)
        slope = wedge(lambda x: 1 if x > 0 else below, Q1, Q2, t, 0)
        # a few roundings of terms up to sqrt(q1 q2) = 1.2
        assert float(found.moments.covariance[index]) == pytest.approx(float(value), abs=1e-15)
        assert float(found.slope[index]) == pytest.approx(float(slope), abs=1e-15)


@pytest.mark.parametrize("name", SMOOTH)
def test_smooth_duals_are_gaussian_expectations(name: str, x64: None):
    found = dual(name, moments_at(ANGLES))
    for index, t in enumerate(ANGLES):
        value, slope = (smooth(f, Q1, Q2, t) for f in SMOOTH[name])
        # both sums have hundreds of roundings; tanh is analytic for |Im z| < pi/2 only, which
        # leaves the reference 1e-13 or so
        assert float(found.moments.covariance[index]) == pytest.approx(value, abs=3e-13)
        assert float(found.slope[index]) == pytest.approx(slope, abs=3e-13)
    for q, own in ((Q1, found.moments.q1), (Q2, found.moments.q2)):
        assert float(own) == pytest.approx(smooth(SMOOTH[name][0], q, q, 0), abs=3e-13)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_duals_take_any_shapes_that_broadcast(name: str):
    q1, q2 = jnp.array([0.5, 1.0])[:, None, None], jnp.array([[0.3], [0.7], [2.0]])
    t = jnp.linspace(0, 3, 24).reshape(2, 3, 4)
    found = jax.jit(lambda *m: dual(name, from_angle(*m)))(q1, q2, t)
    assert found.slope.shape == found.moments.covariance.shape == (2, 3, 4)
    assert found.moments.q1.shape == q1.shape
    assert found.moments.q2.shape == q2.shape
    one = dual(name, from_angle(q1[1, 0, 0], q2[2, 0], t[1, 2, 3]))
    np.testing.assert_allclose(found.slope[1, 2, 3], one.slope, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", DUALS)
def test_swapping_the_inputs_changes_no_bit(name: str):
    q = jnp.asarray(np.random.default_rng(0).random(64), jnp.float32) * 3
    t = jnp.asarray(np.random.default_rng(1).random((64, 64)), jnp.float32) * math.pi
    t = jnp.triu(t) + jnp.triu(t, 1).T
    found = jax.jit(lambda q, t: dual(name, biased(from_angle(q[:, None], q, t), 0.3)))(q, t)
    for matrix in (found.slope, found.moments.covariance):
        np.testing.assert_array_equal(matrix, matrix.T)


@pytest.mark.parametrize("name", ["sin", "cos", "erf", "gelu", "tanh"])
def test_large_moments_do_not_overflow(name: str):
    q = jnp.array(1e6)
    found = dual(name, from_angle(q, q, jnp.array([0.0, 1.0, math.pi])))
    assert np.isfinite(found.moments.covariance).all()
    assert np.isfinite(found.slope).all()


def test_sin_keeps_the_digits_of_small_covariances(x64: None):
    t = jnp.array(math.pi / 2 - 1e-9)
    found = dual("sin", from_angle(jnp.array(2.0), jnp.array(3.0), t)).moments.covariance
    covariance = math.sqrt(6) * math.cos(float(t))
    # cos t has lost 9 of 16 digits to the rounding of t, but is the same number on both sides
    assert float(found) == pytest.approx(math.exp(-2.5) * math.sinh(covariance), abs=1e-16)


@pytest.mark.parametrize("slope_below", [0.3, -0.4])
def test_other_slopes_below_zero(slope_below: float, x64: None):
    found = kinked(slope_below, moments_at(0.8))
    value = wedge(lambda x: x if x > 0 else slope_below * x, Q1, Q2, 0.8, 1)
    assert float(found.moments.covariance) == pytest.approx(float(value), abs=1e-15)


def test_the_slope_of_relu_is_half_at_equal_and_none_at_opposite_inputs(x64: None):
    np.testing.assert_array_equal(dual("relu", moments_at([0.0, math.pi])).slope, [0.5, 0.0])


def test_abs_makes_opposite_inputs_equal():
    found = dual("abs", moments_at([0.0, math.pi, 1e-3, math.pi - 1e-3]))
    np.testing.assert_array_equal(found.moments.angle[:2], 0)
    # pi - t is rounded to 2e-7
    np.testing.assert_allclose(found.moments.angle[2:], 1e-3, rtol=0, atol=5e-7)


@pytest.mark.parametrize("variance", [1e-12, 0.3, 50.0])
@pytest.mark.parametrize("t", [0.0, 1e-9, 1e-4, 1.0, math.pi - 1e-4, math.pi - 1e-9, math.pi])
def test_biases_keep_the_angle_to_the_last_digit(t: float, variance: float, x64: None):
    with mp.workdps(60):
        q1, q2, b = mpf(Q1), mpf(Q2), mpf(variance)
        c = mpmath.sqrt(q1 * q2) * mpmath.cos(mpf(t)) + b
        exact = mpmath.acos(c / mpmath.sqrt((q1 + b) * (q2 + b)))
        assert abs(mpf(float(biased(moments_at(t), variance).angle)) - exact) <= 1e-15

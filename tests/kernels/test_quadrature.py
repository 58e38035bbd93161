"""Hermite series against closed forms: the true error is below the stated one, and small."""

import math
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.kernels import InaccurateKernelWarning, analytic
from ceflow.kernels.infinite.duals import dual
from ceflow.kernels.infinite.errors import started
from ceflow.kernels.infinite.moments import from_angle
from ceflow.kernels.infinite.quadrature import by_quadrature
from ceflow.nets import ACTIVATIONS
from ceflow.spec import Mlp

T = np.linspace(0, math.pi, 13)
CLOSED = ["erf", "gelu", "sin", "cos", "relu", "leaky-relu"]


def both(name: Any, q: float) -> tuple[Any, Any, Any]:
    """The closed form, the series, and bounds on the series' errors."""
    q1 = jnp.array(q)
    moments = started(from_angle(q1, q1, jnp.asarray(T)))
    return dual(name, moments), *by_quadrature(ACTIVATIONS[name], moments)


@pytest.mark.parametrize("q", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("name", CLOSED)
def test_the_true_error_is_below_the_stated_one(name: str, q: float, x64: None):
    closed, series, (errors, slope_error) = both(name, q)
    for found, exact, bound in (
        (series.value, closed.moments.covariance, errors.covariance),
        (series.slope, closed.slope, slope_error),
    ):
        assert np.abs(found - exact).max() <= float(bound)


@pytest.mark.parametrize(
    ("name", "q", "error"),
    [("erf", 1.0, 1e-13), ("gelu", 1.0, 1e-13), ("sin", 4.0, 1e-13), ("relu", 1.0, 1e-2)],
)
def test_the_stated_error_is_small(name: str, q: float, error: float, x64: None):
    # the stated one of entire functions is rounding, of a kink K^(-3/2) times a constant
    assert float(both(name, q)[2][0].covariance) <= error


# Terms of tanh fall off as exp(-pi/2 sqrt(8 k/q)); softplus and silu have strips twice as wide.
STATED = {
    "float64": {
        ("tanh", 1.0): 1e-12,
        ("tanh", 4.0): 1e-9,
        ("softplus", 4.0): 1e-12,
        ("silu", 4.0): 1e-12,
    },
    "float32": {("tanh", 1.0): 1e-4, ("softplus", 1.0): 1e-4, ("silu", 1.0): 1e-4},
}


@pytest.mark.parametrize("dtype", ["float64", pytest.param("float32", marks=pytest.mark.slow)])
def test_the_stated_error_of_the_languages_activations(dtype: str):
    with jax.enable_x64(dtype == "float64"):
        for (name, q), error in STATED[dtype].items():
            moments = started(from_angle(jnp.array(q), jnp.array(q), jnp.zeros(1)))
            found = dual(name, moments)
            assert found.moments.errors is not None
            assert float(found.moments.errors.covariance) <= error
            assert float(found.slope_error) <= 100 * error


def expected_warning(inaccurate: bool) -> Any:
    return pytest.warns(InaccurateKernelWarning) if inaccurate else nullcontext()


@pytest.mark.parametrize("name", [pytest.param("gelu", marks=pytest.mark.slow), "relu"])
def test_kernels_by_quadrature_are_those_in_closed_form(name: Any, x64: None):
    x = np.concatenate([np.random.default_rng(0).standard_normal((4, 7)), np.zeros((1, 7))])
    spec = Mlp(widths=(8,) * 2, activation=name, bias_variance=0.1, weight_variance=1.5)
    closed = analytic(spec, x)
    with expected_warning(name == "relu"):
        series = analytic(spec, x, activation=ACTIVATIONS[name])
    scale = np.diagonal(closed.ntk).max()
    assert closed.error < 1e-12
    for one, two in ((closed.nngp, series.nngp), (closed.ntk, series.ntk)):
        assert np.abs(one - two).max() <= float(series.error) * scale
    assert float(series.error) <= (0.2 if name == "relu" else 1e-12)


def test_the_activation_given_replaces_the_models(x64: None):
    x = np.random.default_rng(1).standard_normal((3, 4))
    named = analytic(Mlp(widths=(8,), activation="tanh"), x)
    given = analytic(Mlp(widths=(8,)), x, activation=jnp.tanh)
    # of what is not known by name the integrals have twice the nodes: other roundings
    np.testing.assert_allclose(named.ntk, given.ntk, rtol=1e-13)
    assert 0 < float(given.error) < 1e-9


@pytest.mark.parametrize("function", [jnp.sum, lambda x: x[..., :1]])
def test_a_function_that_is_not_elementwise_is_refused(function: Callable[[Any], Any]):
    with pytest.raises(ValueError, match="must be elementwise"):
        analytic(Mlp(widths=(8,)), np.ones((2, 3)), activation=function)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["softplus"])
def test_gradients_are_finite_at_equal_opposite_and_zero_inputs(name: Any, x64: None):
    x = jnp.array([[1.0, 2.0], [1.0, 2.0], [-1.0, -2.0], [0.0, 0.0]])
    spec = Mlp(widths=(8,), activation=name)
    gradient = jax.jit(jax.grad(lambda x: analytic(spec, x).ntk.sum()))(x)
    assert np.isfinite(gradient).all()
    assert np.abs(gradient).max() > 0.01
    step = 1e-6
    x1 = x.at[0, 1].add(step), x.at[0, 1].add(-step)
    ahead, behind = (float(analytic(spec, x).ntk.sum()) for x in x1)
    # central differences: rounding 1e-15/step and the third derivative's step^2
    assert float(gradient[0, 1]) == pytest.approx((ahead - behind) / (2 * step), rel=1e-6)

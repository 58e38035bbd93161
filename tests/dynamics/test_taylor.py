"""Derivatives of the NTK in time, against forward mode, finite differences and the flow."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from small_networks import ensemble, examples, parameters_of

from ceflow.dynamics import SquaredError, integrate, ntk_derivatives, parameter_flow, power_law
from ceflow.kernels import empirical_ntk

X, Y = examples()


def started(**options):
    return parameter_flow(ensemble(jax.random.key(0), **options), X, Y, SquaredError())


def by_forward_mode(flow, parameters, orders):
    """d/dt is the derivative along the field (CE eq. 23): nested, one for each order."""

    def along(function):
        return lambda p: jax.jvp(function, (p,), (flow(0.0, p),))[1]

    def kernel(p):
        return empirical_ntk(flow.network(p), flow.x, memory=np.inf, method="structured")

    results = []
    for _ in range(orders):
        kernel = along(kernel)
        results.append(jax.jit(kernel)(parameters))
    return jnp.stack(results)


def slowly(*activations, but):
    """All are tried, and one of them always."""
    return [but, *(pytest.param(name, marks=pytest.mark.slow) for name in activations)]


@pytest.mark.parametrize("activation", slowly("erf", "softplus", but="tanh"))
def test_taylor_mode_is_nested_forward_mode(activation, x64):
    flow, start = started(activation=activation)
    ours, theirs = ntk_derivatives(flow, start, flow.x), by_forward_mode(flow, start, 3)
    np.testing.assert_allclose(ours, theirs, atol=1e-9 * np.abs(theirs).max())  # rounding
    assert np.abs(ours).min(axis=(1, 2, 3, 4)).max() > 0


OTHERS = ("gelu", "sin", "silu", "abs", "leaky-relu", "cos")


@pytest.mark.parametrize("activation", slowly(*OTHERS, but="relu"))
def test_every_other_activation_has_its_rules(activation, x64):
    flow, start = started(activation=activation)
    ours, theirs = ntk_derivatives(flow, start, flow.x, 2), by_forward_mode(flow, start, 2)
    np.testing.assert_allclose(ours, theirs, atol=1e-9 * np.abs(theirs).max())


def test_they_are_those_of_the_integrated_flow(x64):
    """The Taylor polynomial misses the kernel by the next power of t."""
    flow, start = started()
    times = np.array([0.01, 0.02, 0.04])
    result = integrate(
        flow, start, [0.0, *times], solver="dopri8", rtol=1e-12, atol=1e-13,
        record=lambda t, p: empirical_ntk(flow.network(p), flow.x),
    )  # fmt: skip
    derivatives = np.asarray(ntk_derivatives(flow, start, flow.x))
    for orders in (1, 2, 3):
        terms = sum(
            derivatives[r - 1] * times.reshape(-1, 1, 1, 1, 1) ** r / np.prod(range(1, r + 1))
            for r in range(1, orders + 1)
        )
        missing = np.abs(result.records[1:] - result.records[0] - terms).max(axis=(1, 2, 3, 4))
        # The power after that is a few hundredths of it.
        assert power_law(times, missing).slope == pytest.approx(orders + 1, abs=0.15)


def test_float32_and_traces(x64):
    flow, start = started()
    whole = ntk_derivatives(flow, start, flow.x)
    traces = ntk_derivatives(flow, start, flow.x, trace=True)
    np.testing.assert_allclose(traces, jnp.trace(whole, axis1=3, axis2=4), atol=1e-10)
    low_flow, low_start = jax.tree.map(
        lambda a: a.astype("float32") if eqx.is_array(a) else a, (flow, start)
    )
    low = ntk_derivatives(low_flow, low_start, low_flow.x)
    assert low.dtype == jnp.float32
    np.testing.assert_allclose(low, whole, atol=2e-5 * np.abs(whole).max())  # float32 sums


@pytest.mark.slow
@pytest.mark.parametrize("axis", ["multiplicity", "width"])
def test_eq_42_each_derivative_falls_like_1_over_mn(axis, x64):
    sizes, replicas = [8, 16, 32, 64], 400
    keys = jax.random.split(jax.random.key(7), replicas)

    def medians(multiplicity, width):
        flow, _ = started(multiplicity=multiplicity, width=width)

        def one(key):
            start = parameters_of(ensemble(key, multiplicity, width=width))
            return ntk_derivatives(flow, start, flow.x[:2], trace=True)[:, 0, 1]

        return np.median(np.abs(jax.jit(lambda keys: jax.lax.map(one, keys))(keys)), axis=0)

    points = [medians(**({"multiplicity": 8, "width": 16} | {axis: size})) for size in sizes]
    for derivative in np.transpose(points):
        # Medians of 400 are known to 6 %, so slopes to about 0.05; 0.15 is the figure.
        assert power_law(sizes, derivative).slope == pytest.approx(-1, abs=0.15)

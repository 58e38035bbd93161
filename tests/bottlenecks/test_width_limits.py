"""Limits that are known otherwise: linear networks, infinite bottlenecks, softplus as a ReLU."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.bottlenecks import (
    Batches,
    DecoderKernels,
    Rates,
    Simulation,
    mlp,
    relu,
    sample,
)
from ceflow.bottlenecks.kernels.encoder import ComposedKernel
from ceflow.data import deep_gaussian_process
from ceflow.dynamics import SquaredError
from ceflow.kernels import analytic
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck

RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(12, 5)), RANDOM.normal(size=(12, 2))


def linear(depth, **options):
    network = Bottleneck(size=3, encoder=mlp("linear", depth - 1), decoder=mlp("linear"))
    initial = sample(network, 5, 2, Seed(0), width=40)
    return Simulation(network, initial, X, Y, engine="history", **options)


@pytest.mark.parametrize("depth", [4, pytest.param(2, marks=pytest.mark.slow)])
def test_linear_networks_are_a_two_layer_one(x64, depth):
    """BN lemma 4.1, for each step of SGD: `w_eff`, `theta_eff` at rates L_f e_f and L_g e_g."""
    simulated = linear(depth, rate_factors=Rates(0.5, 2.0), loss=SquaredError("sum"))
    batches, rate, (d0, d) = Batches(12, 5), 0.01, (5, 3)
    points, outputs = np.asarray(simulated.points), np.asarray(simulated.outputs(simulated.start()))
    theta = np.linalg.lstsq(X, points)[0].T * d0**0.5
    w = np.asarray(simulated.initial.decoder.jacobian(jnp.zeros((1, d)))[0]) * d**0.5
    for batch in batches.some(0, 30):
        g = X[batch] @ theta.T / d0**0.5
        chi = g @ w.T / d**0.5 - Y[batch]
        slopes = chi.T @ g / d**0.5, (chi @ w / d**0.5).T @ X[batch] / d0**0.5
        w, theta = w - 2 * 2.0 * rate * slopes[0], theta - depth * 0.5 * rate * slopes[1]
    state = simulated.train(rate, batches, 30).state
    exact = X @ theta.T / d0**0.5
    assert abs(exact - points).max() > 0.1
    np.testing.assert_allclose(state.points, exact, atol=1e-11)
    np.testing.assert_allclose(simulated.outputs(state), exact @ w.T / d**0.5, atol=1e-11)
    assert abs(outputs - exact @ w.T / d**0.5).max() > 0.1


def test_an_infinite_bottleneck_is_sgd_with_the_composed_kernel(x64):
    network = Bottleneck(size=math.inf, encoder=relu(2), decoder=relu())
    initial = sample(network, 5, 2, Seed(0), width=60)
    simulated = Simulation(network, initial, X, Y, X[:3] + 0.1, loss=SquaredError("sum"))
    # Without an activation in between, f o g is the MLP of one layer less at infinite width,
    # its NTK the composition's: a linear layer in the bottleneck adds its own covariance.
    one = analytic(network.encoder, X)
    kernel = np.asarray(simulated.dynamics.kernel.matrix)[:, :12]  # pyright: ignore
    outputs = np.asarray(simulated.outputs(simulated.start()))[:12]
    batches = Batches(12, 4)
    for batch in batches.some(0, 20):
        outputs = outputs - 0.1 * kernel[:, batch] @ (outputs[batch] - Y[batch])
    state = simulated.train(0.1, batches, 20).state
    np.testing.assert_allclose(simulated.outputs(state)[:12], outputs, atol=1e-12)
    deep = analytic(mlp("linear", 1), X).ntk  # two linear layers and one: 2 + 2 layers in all
    flat = Bottleneck(size=math.inf, encoder=mlp("linear"), decoder=mlp("linear"))
    both = Simulation(flat, sample(flat, 5, 2, Seed(0), width=60), X, Y).dynamics.kernel
    np.testing.assert_allclose(both.matrix, 2 * np.asarray(deep), atol=1e-12)  # pyright: ignore
    assert one.ntk.shape == kernel.shape


def test_rate_factors_of_an_infinite_bottleneck(x64):
    """Each rate scales what its weights contribute."""
    network = Bottleneck(size=math.inf, encoder=relu(), decoder=relu())
    q, angle = jnp.ones(()), jnp.asarray(0.7)
    parts = [
        ComposedKernel(network, rate_factors)(q, q, angle)
        for rate_factors in ((1, 0), (0, 1), (2, 3))
    ]
    np.testing.assert_allclose(2 * parts[0] + 3 * parts[1], parts[2], rtol=1e-14)


@pytest.mark.slow
def test_large_bottlenecks_approach_the_infinite_one():
    """The kernel K + Theta J J^T at the start, whose noise is d^-1/2: 8 times less of it at 64
    times the size; asserted is 3, for single draws."""
    network = Bottleneck(size=math.inf, encoder=relu(), decoder=relu())
    limit = Simulation(network, sample(network, 5, 1, Seed(0), width=100), X, Y[:, :1])
    exact = np.asarray(limit.dynamics.kernel.matrix)  # pyright: ignore

    def error(d):
        network = Bottleneck(size=d, encoder=relu(), decoder=relu())
        initial = sample(network, 5, 1, Seed(1), width=8192)
        simulated = Simulation(network, initial, X, Y[:, :1])
        g = simulated.points
        jacobian = np.asarray(initial.decoder.jacobian(g))[:, 0]
        theta = np.asarray(simulated.dynamics.kernel.matrix)  # pyright: ignore
        ntk = np.asarray(DecoderKernels(network).ntk(g, g)) + theta * (jacobian @ jacobian.T)
        return np.linalg.norm(ntk - exact) / np.linalg.norm(exact)

    small, large = error(16), error(1024)
    assert large < 0.1
    assert large < small / 3


@pytest.mark.slow
def test_softplus_approaches_relu(x64):
    """Footnote 5: `softplus(m x)/m`. Its scales are those of a decoder of activation softplus with
    variances c m^2 and b/m^2; the error of Xi falls with m."""
    x, y = RANDOM.normal(size=(3, 3)), RANDOM.normal(size=(4, 3))
    exact = DecoderKernels(Bottleneck(size=3, encoder=relu(), decoder=relu())).ntk_slope(x, y)

    def error(m):
        sharp = mlp("softplus", weight_variance=float(m) ** 2, last_variance=float(m) ** -2)
        found = DecoderKernels(Bottleneck(size=3, encoder=relu(), decoder=sharp)).ntk_slope(x, y)
        return float(abs(found - exact).max())

    errors = [error(m) for m in (1, 4, 16)]
    assert errors[1] < errors[0] / 2
    assert errors[2] < errors[1] / 4


def steps_to_a_fifth(d, most, scale=0.1, rate=0.5):
    """Of the loss at the start, 5 on ten deep-GP targets, over 50 batches; inf if later."""
    x = np.random.default_rng(0).normal(size=(1000, 20))
    y = deep_gaussian_process(x, 10, Seed(0), length=4.0)
    y = (y - y.mean(0)) / y.std(0)
    network = Bottleneck(size=d, encoder=relu(), decoder=relu())
    initial = sample(network, 20, 10, Seed(0), width=2000)
    found = Simulation(network, initial, scale * x, y).train(rate, Batches(1000, 20), most).losses
    low = np.convolve(found, np.ones(50) / 50, "valid") < 1
    return int(np.argmax(low)) if low.any() else math.inf


@pytest.mark.slow
def test_a_bottleneck_accelerates_where_the_initial_function_is_small():
    """Inputs times 0.1: from an infinite bottleneck to one as wide as the
    targets, d = 10, steps fall fivefold or more, and rise again: 5 takes longer, and 2 cannot carry
    the targets. Initial functions differ by a tenth."""
    best = steps_to_a_fifth(10, 2000)
    assert best < steps_to_a_fifth(30, 2500) < steps_to_a_fifth(100, 3000)
    assert steps_to_a_fifth(math.inf, 5 * best) == math.inf
    assert 1.1 * best < steps_to_a_fifth(5, 2 * best)
    assert steps_to_a_fifth(2, 3 * best) == math.inf


@pytest.mark.slow
def test_there_is_no_acceleration_where_the_initial_function_is_large():
    """Inputs as they are, a tenth of the rate: an infinite bottleneck is no slower."""
    bottleneck, infinite = (steps_to_a_fifth(d, 4000, 1.0, 0.05) for d in (10, math.inf))
    assert infinite < 1.1 * bottleneck < math.inf

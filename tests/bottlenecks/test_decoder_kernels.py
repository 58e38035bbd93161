"""Kernels of the decoder: derivatives, degenerate points, sampled decoders, sums over a past."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.bottlenecks import DecoderKernels, mlp, relu
from ceflow.bottlenecks.costs import PAST_AT_ONCE
from ceflow.bottlenecks.kernels.past import Past, past_sums
from ceflow.nets import ACTIVATIONS
from ceflow.spec import Bottleneck, Network, SpecError

SLOWLY = [pytest.param(name, marks=pytest.mark.slow) for name in ("abs", "linear")]
CLOSED = ["relu", "leaky-relu", *SLOWLY]
"""Leaky ReLU has a part of each of the others."""
RANDOM = np.random.default_rng(0)
X, Y = RANDOM.normal(size=(2, 3)), RANDOM.normal(size=(4, 3))


def network(activation="relu", d=3):
    """With variances that are not 1, so that none is forgotten."""
    return Bottleneck(
        size=d, encoder=relu(), decoder=mlp(activation, weight_variance=1.3, last_variance=0.7)
    )


def differences(function, x, step=1e-5):
    """Central ones by the entries of x: error about step^2, and 1e-16/step from rounding."""
    unit = step * np.eye(x.shape[1])
    return np.stack([(function(x + e) - function(x - e)) / (2 * step) for e in unit], axis=-1)


@pytest.mark.parametrize(
    "activation", [*CLOSED, "softplus", pytest.param("erf", marks=pytest.mark.slow)]
)
def test_derivatives_are_those_of_the_kernels(x64, activation):
    kernels = DecoderKernels(network(activation))
    slope, mixed, xi = (
        np.asarray(f(X, Y)) for f in (kernels.nngp_slope, kernels.nngp_mixed, kernels.ntk_slope)
    )
    np.testing.assert_allclose(slope, differences(lambda y: kernels.nngp(X, y), Y), atol=1e-8)
    np.testing.assert_allclose(xi, differences(lambda x: kernels.ntk(x, Y), X), atol=1e-8)
    by_x = differences(lambda x: kernels.nngp_slope(x, Y), X)
    np.testing.assert_allclose(mixed, np.swapaxes(by_x, 2, 3), atol=1e-8)


@pytest.mark.parametrize("activation", CLOSED)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_equal_opposite_and_zero_points(x64, activation, dtype):
    kernels = DecoderKernels(network(activation))
    x = np.array([X[0], np.zeros(3)], dtype)
    y = np.array([X[0], 2 * X[0], -X[0], np.zeros(3)], dtype)
    for name in ("nngp", "ntk", "nngp_slope", "nngp_mixed", "ntk_slope"):
        found = np.asarray(getattr(kernels, name)(x, y))
        assert found.dtype == dtype
        assert np.isfinite(found).all(), name


def test_xi_at_parallel_points_has_no_perpendicular_part(x64):
    xi = np.asarray(DecoderKernels(network()).ntk_slope(X[:1], np.array([X[0], -X[0]])))
    np.testing.assert_allclose(xi[0, 0], 0.7 * 1.3 / 3 * X[0], rtol=1e-12)  # b c/d x', t = 0
    np.testing.assert_allclose(xi[0, 1], 0, atol=1e-12)  # t = pi


def test_xi_at_zero_is_zero():
    xi = DecoderKernels(network()).ntk_slope(np.zeros((1, 3)), Y)
    assert not np.asarray(xi).any()
    assert not np.asarray(DecoderKernels(network()).ntk_slope(Y, np.zeros((1, 3)))).any()


@pytest.mark.parametrize("sign", [1, -1])
def test_direction_of_nearly_parallel_points_in_float32(x64, sign):
    """The cosine of a float32 product would leave 6e-4; the float64 kernel is the reference."""
    kernels = DecoderKernels(network())
    x = X.astype("float32")
    y = sign * (x + 1e-4 * Y[:2]).astype("float32")
    along = 0.7 * 1.3 / 3 / np.pi * (np.pi - np.pi * (sign < 0))
    found, exact = (
        np.stack([np.asarray(kernels.ntk_slope(a[None], b[None]))[0, 0] - along * b for a, b in ab])
        for ab in (zip(x, y, strict=True), zip(x.astype(float), y.astype(float), strict=True))
    )
    # 2e-7 is a rounding of x' itself, relative to the part perpendicular to x, of order |x'|/2 pi
    np.testing.assert_allclose(found, exact, atol=1e-6)


def test_covariances_of_sampled_decoders(x64):
    """Lemma 3.1, one unit a draw; 6 standard errors on 38 numbers: wrong once in 10^7."""
    kernels, draws = DecoderKernels(network()), 400_000
    u = jax.random.normal(jax.random.key(1), (draws, 3))
    v = jax.random.normal(jax.random.key(2), (draws, 1)) * np.sqrt(0.7)
    scale = np.sqrt(1.3 / 3)

    def unit(x):
        before = scale * u @ x
        return v * jax.nn.relu(before)[:, None], v * (before > 0)[:, None] * u * scale

    (f, j), (f2, j2) = unit(X[0]), unit(Y[0])
    for left, right, exact in (
        (f, f2, kernels.nngp),
        (f, j2, kernels.nngp_slope),
        (j, j2, kernels.nngp_mixed),
    ):
        products = left[:, :, None] * right[:, None, :]
        error = products.std(axis=0) / np.sqrt(draws)
        wanted = np.asarray(exact(X[:1], Y[:1])).reshape(error.shape)
        assert (abs(products.mean(axis=0) - wanted) < 6 * error).all()


def test_derivative_of_a_sampled_kernel_approaches_xi(x64):
    """BN eq. 31 to 41, of a smooth decoder; 6 standard errors on 3 numbers."""
    activation, draws, scale = ACTIVATIONS["softplus"], 200_000, np.sqrt(1.3 / 3)
    u = jax.random.normal(jax.random.key(3), (draws, 3))
    v = jax.random.normal(jax.random.key(4), (draws,))

    def units(x):
        a, da = jax.jvp(activation, (scale * u @ x,), (jnp.ones(draws),))
        b, db = jax.jvp(activation, (scale * u @ Y[0],), (jnp.ones(draws),))
        return 0.7 * (a * b + scale**2 * (x @ Y[0]) * v**2 * da * db)

    slopes = jax.jacfwd(units)(jnp.asarray(X[0]))
    error = slopes.std(axis=0) / np.sqrt(draws)
    xi = np.asarray(DecoderKernels(network("softplus")).ntk_slope(X[:1], Y[:1]))[0, 0]
    assert (abs(slopes.mean(axis=0) - xi) < 6 * error).all()


@pytest.mark.parametrize("activation", CLOSED)
@pytest.mark.parametrize(("dtype", "near"), [("float32", 3e-6), ("float64", 1e-8)])
def test_sums_over_a_past_are_sums_of_the_kernels(x64, activation, dtype, near):
    """With past points equal to one of the points, nearly so, opposite and zero; and a zero one.

    A cosine is rounded at 1e-16, an angle of 1e-5 hence at 1e-6 of itself, and so is its part of
    Xi, of about 1/64.
    """
    random = np.random.default_rng(1)
    x = random.normal(size=(6, 3)).astype(dtype)
    x[5] = 0
    y = random.normal(size=(PAST_AT_ONCE + 7, 3)).astype(dtype)
    y[:6], y[6:12], y[12], y[13] = x, x + 1e-5 * y[6:12], -x[0], 0
    chi = random.normal(size=(len(y), 2)).astype(dtype) / len(y) ** 0.5
    past = [jnp.pad(jnp.asarray(part), [(0, PAST_AT_ONCE - 7), (0, 0)]) for part in (y, chi)]
    net = network(activation)
    sums = past_sums(net, jnp.asarray(x), Past(past[0], past[1], len(y)))
    kernels, wide = DecoderKernels(net), [part.astype(float) for part in (x, y, chi)]
    ntk, xi = kernels.ntk(*wide[:2]), kernels.ntk_slope(*wide[:2])
    assert sums.outputs.dtype == dtype
    np.testing.assert_allclose(sums.outputs, ntk @ wide[2], atol=near)
    np.testing.assert_allclose(sums.jacobian, np.einsum("bsd,so->bod", xi, wide[2]), atol=near)


def test_a_decoder_that_cannot_be():
    layers: list[Any] = [{"type": "dense", "units": math.inf}, "layer-norm", "relu", "dense"]
    with pytest.raises(SpecError, match="with one activation between"):
        DecoderKernels(Bottleneck(size=3, encoder=relu(), decoder=Network(layers=layers)))
    for decoder in (relu(2), relu(bias_variance=0.1)):
        kernels = DecoderKernels(Bottleneck(size=3, encoder=relu(), decoder=decoder))
        for derivative in (kernels.nngp_slope, kernels.nngp_mixed):
            with pytest.raises(ValueError, match="one hidden layer without biases"):
                derivative(X, Y)
    with pytest.raises(ValueError, match="has no points"):
        DecoderKernels(Bottleneck(size=float("inf"), encoder=relu(), decoder=relu()))

"""Kernels of networks with an infinite bottleneck: by hand, by their tree, by wide networks."""

import math

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.kernels import analytic, block_kernel, empirical_ntk
from ceflow.spec import Bottleneck, Mlp

X = np.random.default_rng(0).normal(size=(5, 3))

ROUNDING = 1e-12
"""More than the bound of six layers, in closed form or by a series that has converged."""


def network(width: float = math.inf, size: float = math.inf, **keys) -> Bottleneck:
    encoder = Mlp(widths=[width] * 2, weight_variance=1.3, last_variance=0.7, bias_variance=0.2)
    decoder = Mlp(widths=[width], weight_variance=1.1, last_variance=0.6, **keys)
    return Bottleneck(size=size, encoder=encoder, decoder=decoder)


def by_hand(x, y):
    """NNGP and NTK of two inputs in 30 digits, layer by layer: (variances, covariance), NTK."""

    def dense(state, c, b):
        (one, two, both), ntk = state
        one, two, both = (c * each + b for each in (one, two, both))
        return (one, two, both), both + c * ntk

    def relu(state):
        (one, two, both), ntk = state
        root = mpmath.sqrt(one * two)
        angle = mpmath.acos(both / root)
        cover = root * (mpmath.sin(angle) + (mpmath.pi - angle) * mpmath.cos(angle))
        slope = (mpmath.pi - angle) / (2 * mpmath.pi)
        return (one / 2, two / 2, cover / (2 * mpmath.pi)), slope * ntk

    dots = [
        mpmath.fdot(map(mpmath.mpf, a), map(mpmath.mpf, b)) for a, b in ((x, x), (y, y), (x, y))
    ]
    state = tuple(each / len(x) for each in dots), mpmath.mpf(0)
    for c in ("1.3", "1.3"):
        state = relu(dense(state, mpmath.mpf(c), mpmath.mpf("0.2")))
    state = dense(state, mpmath.mpf("0.7"), mpmath.mpf("0.2"))  # the bottleneck
    state = relu(dense(state, mpmath.mpf("1.1"), 0))
    (_, _, nngp), ntk = dense(state, mpmath.mpf("0.6"), 0)
    return float(nngp), float(ntk)


def test_every_entry_is_that_of_the_recursion_by_hand(x64):
    found = analytic(network(), X)
    with mpmath.workdps(30):
        exact = np.array([[by_hand(x, y) for y in X] for x in X[:2]])
    off = np.abs(np.stack([found.nngp[:2], found.ntk[:2]], -1) / exact - 1)
    assert off.max() < 1e-12  # roundings of six layers
    assert found.error < ROUNDING


@pytest.mark.parametrize("activation", ["relu", "erf", "tanh"])
def test_it_is_the_kernel_of_the_layers_in_a_row(x64, activation):
    """Two pieces of code: vectors, and images of one position."""
    model = network(activation=activation)
    found = analytic(model, X)
    tree = analytic(expand(model.sized(inputs=3, outputs=1)), X[:, :, None, None])
    for one, two in ((found.nngp, tree.nngp), (found.ntk, tree.ntk)):
        np.testing.assert_allclose(one, two, rtol=1e-9)
    assert 0 < found.error < ROUNDING


def test_wide_networks_come_near_it(x64):
    """Means over 8 networks of width and size 300: about (1/300 + 1/8/300)^1/2 = 6 % off, less
    for the mean over the entries; and they are nearer than at width 30."""

    def distance(width: int) -> float:
        root = expand(network(width, width).sized(inputs=3, outputs=1))

        @jax.jit
        def drawn(key):
            return empirical_ntk(lower(root, key), jnp.asarray(X))[..., 0, 0]

        mean = sum(drawn(jax.random.key(seed)) for seed in range(8)) / 8
        exact = analytic(network(), X).ntk
        return float(jnp.linalg.norm(mean - exact) / jnp.linalg.norm(exact))

    wide, narrow = distance(300), distance(20)
    assert wide < 0.06
    assert wide < narrow


@pytest.mark.parametrize("which", ["nngp", "ntk"])
def test_blocks_have_the_bits_of_the_whole(which):
    x = jnp.asarray(X, "float32")
    whole = getattr(analytic(network(), x), which)
    kernel = block_kernel(network(), which)
    np.testing.assert_array_equal(kernel(x[:2], x), whole[:2])
    np.testing.assert_array_equal(kernel(x), whole)


def test_float32_has_its_digits(x64):
    exact = analytic(network(), X)
    with jax.enable_x64(False):
        found = analytic(network(), X.astype("float32"))
    for one, two in zip(found[:2], exact[:2], strict=True):
        np.testing.assert_allclose(one, two, rtol=2e-6)


def test_sizes_that_are_given_say_nothing():
    """Not those of inputs and outputs either: they come with the data."""
    with pytest.raises(ValueError, match="change the model's size"):
        analytic(network(10, 10), X)
    with pytest.raises(ValueError, match="change the model's activation"):
        analytic(network(), X, activation=jnp.tanh)
    with pytest.raises(ValueError, match="only if its size is infinite"):
        block_kernel(network(size=3), "ntk")(X)

"""Engines alone: what a step learns and what it brings back are kernels and derivatives.

In float64, with memories that are not those of the start, and bottlenecks of equal sizes, between
which a transposed Jacobian would fit.
"""

from functools import cache, reduce
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.bottlenecks import DecoderKernels, mlp, sample
from ceflow.bottlenecks.kernels import past
from ceflow.bottlenecks.training import engines
from ceflow.bottlenecks.training.engines import Engine, Features, History, after
from ceflow.seeding import Seed
from ceflow.spec import Chain

RANDOM = np.random.default_rng(0)
FIRST, SECOND, OTHERS = RANDOM.normal(size=(3, 12, 3))
TARGETS = RANDOM.normal(size=(12, 3))
RATE, STEP = 0.05, 1e-5
APART = np.concatenate([OTHERS[:2] + sign * STEP * e for sign in (1, -1) for e in np.eye(3)])

pytestmark = pytest.mark.usefixtures("x64")
KINDS = pytest.mark.parametrize("kind", [History, Features])
ACTIVATIONS = pytest.mark.parametrize("activation", ["sin", "relu"])


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """The past of two steps is in two blocks."""
    for module in (past, engines):
        monkeypatch.setattr(module, "PAST_AT_ONCE", 16)


def chi(outputs: Any) -> Any:
    return outputs - TARGETS


class Compiled(History):
    """Compiled once for all batches, which are of 12 points."""

    seen = eqx.filter_jit(History.seen)


class Trained(NamedTuple):
    """An engine, its memories before and after its second step, and what that brings back."""

    engine: Any
    once: Any
    twice: Any
    pull: np.ndarray

    def at(self, memory: Any, points: np.ndarray) -> tuple[Any, ...]:
        return self.engine.seen(memory, jnp.asarray(points))


@cache
def trained(kind: type[Engine], activation: str) -> Trained:
    """The first decoder is deep with biases, and no variance is 1."""
    deep = mlp(activation, 2, weight_variance=1.3, last_variance=0.7, bias_variance=0.4)
    last = mlp("relu", weight_variance=1.6, last_variance=0.8)
    network = Chain(segments=[mlp(activation), deep, last], sizes=(3, 3))
    decoder = sample(network, 4, 3, Seed(0), width=30).decoder
    history = Compiled(decoder, network.bottlenecks)
    engine: Any = Features(decoder) if kind is Features else history
    start, rate = engine.room(engine.start(), 32), jnp.asarray(RATE)
    once = engine.learn(start, jnp.asarray(FIRST), chi, rate)[0]
    twice, pull, _ = engine.learn(once, jnp.asarray(SECOND), chi, rate)
    return Trained(engine, once, twice, np.asarray(pull))


@KINDS
@ACTIVATIONS
def test_jacobians_are_derivatives_of_the_outputs(kind, activation):
    """Central differences of 1e-5 are right to 1e-9, for sums of kinked kernels too."""
    found = trained(kind, activation)
    ahead, behind = np.asarray(found.at(found.twice, APART)[-1].outputs).reshape(2, 3, 2, 3)
    exact = ((ahead - behind) / (2 * STEP)).transpose(1, 2, 0)
    jacobian = reduce(after, (each.jacobian for each in found.at(found.twice, OTHERS)))
    np.testing.assert_allclose(jacobian[:2], exact, rtol=0, atol=1e-7)


@KINDS
@ACTIVATIONS
def test_errors_come_back_through_the_jacobians_of_the_moment(kind, activation):
    """Those before the step, and not those of the start; errors are of rounding."""
    found = trained(kind, activation)
    seen = found.at(found.once, SECOND)
    error = np.asarray(chi(seen[-1].outputs))
    for each in reversed(seen):
        error = np.stack([j.T @ e for j, e in zip(np.asarray(each.jacobian), error, strict=True)])
    np.testing.assert_allclose(found.pull, error, rtol=0, atol=1e-11)


@ACTIVATIONS
def test_a_step_adds_the_kernel_times_the_error(activation):
    """Of each decoder, while those before it stay, at the points of the moment; to rounding."""
    found = trained(History, activation)
    seen, others = (found.at(found.once, points) for points in (SECOND, OTHERS))
    error = np.asarray(chi(seen[-1].outputs))
    for index in (1, 0):
        stepped = (*found.once[:index], found.twice[index], *found.once[index + 1 :])
        change = found.at(stepped, OTHERS)[index].outputs - others[index].outputs
        kernels = DecoderKernels(found.engine.bottlenecks[index])
        ntk = np.asarray(kernels.ntk(others[index].points, seen[index].points))
        np.testing.assert_allclose(change, -RATE * ntk @ error, rtol=0, atol=1e-11)
        error = np.einsum("bod,bo->bd", seen[index].jacobian, error)


def test_features_are_gradient_descent_on_all_weights():
    """Biases too, over both steps; errors are of rounding."""
    found = trained(Features, "sin")
    decoder = found.engine.decoder

    def loss(decoder: Any, points: np.ndarray) -> Any:
        return 0.5 * jnp.square(decoder(points) - TARGETS).sum()

    for points in (FIRST, SECOND):
        slopes = eqx.filter_jit(eqx.filter_grad(loss))(decoder, points)
        decoder = eqx.apply_updates(decoder, jax.tree.map(lambda slope: -RATE * slope, slopes))
    outputs = found.engine.outputs(found.twice, jnp.asarray(OTHERS))
    np.testing.assert_allclose(outputs, decoder(OTHERS), rtol=0, atol=1e-12)


def test_no_two_weights_of_a_chain_are_drawn_alike():
    """Layers and segments of equal shapes have numbers of their own."""
    deep = mlp("relu", 3, bias_variance=0.4)
    network = Chain(segments=[mlp("relu"), deep, deep], sizes=(3, 3))
    decoder = sample(network, 4, 3, Seed(0), width=5).decoder
    numbers = np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(decoder)])
    assert len(np.unique(numbers)) == len(numbers)

"""Chains of bottlenecks: both engines, against finite networks, each other and one bottleneck."""

from dataclasses import replace
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from finite_networks import descend
from wrong_engines import plain_history

from ceflow.bottlenecks import Batches, Rates, Simulation, composed_ntk, flow, mlp, sample
from ceflow.bottlenecks.training.ntk import ntk_at
from ceflow.dynamics import SquaredError
from ceflow.kernels import empirical_ntk
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck, Chain

RANDOM = np.random.default_rng(0)
X, Y, TEST = RANDOM.normal(size=(12, 5)), RANDOM.normal(size=(12, 2)), RANDOM.normal(size=(3, 5))
RATE, STEPS = 0.05, 80
FULL = Batches(12, 12)


def chain(*activations: Any, sizes=(3, 4), **keys: Any) -> Chain:
    """Of segments of one layer; `keys` are of the last one."""
    first, middle, last = activations or ("erf", "erf", "erf")
    return Chain(segments=[mlp(first), mlp(middle), mlp(last, **keys)], sizes=sizes)


def simulation(network=None, *, n=500, seed=1, **options: Any) -> Simulation:
    """That of theory: 12 examples of 5 inputs and 2 outputs."""
    network = network or chain()
    initial = sample(network, 5, 2, Seed(seed), width=n)
    return Simulation(network, initial, X, Y, loss=SquaredError("sum"), **options)


SLOWLY = [pytest.param(("abs", "linear", "relu"), marks=pytest.mark.slow)]


@pytest.mark.parametrize("activations", [("relu", "leaky-relu", "relu"), *SLOWLY])
def test_history_is_the_plain_sums(x64, activations):
    """Pair by pair, each segment with an error and a past of its own; test points too."""
    simulated = simulation(chain(*activations), n=50, engine="history", x_test=TEST)
    batches = Batches(12, 5, Seed(1))
    done = simulated.train(0.02, batches, 12)
    outputs, points = plain_history(simulated, Rates(0.02, 0.02), batches.some(0, 12))
    np.testing.assert_allclose(done.state.points, points, rtol=0, atol=1e-11)
    np.testing.assert_allclose(simulated.outputs(done.state), outputs, rtol=0, atol=1e-11)
    assert abs(points - simulated.points).max() > 0.01


@pytest.mark.parametrize("engine", ["features", pytest.param("history", marks=pytest.mark.slow)])
def test_a_chain_of_two_segments_is_a_bottleneck(engine):
    """Bit for bit: the weights drawn, the steps, the NTK and the largest rate."""
    one = Bottleneck(size=3, encoder=mlp("relu"), decoder=mlp("relu", 1, bias_variance=0.1))
    two = Chain(segments=[one.encoder, one.decoder], sizes=[3])
    found = []
    for network in (one, two):
        simulated = simulation(network, n=60, engine=engine, x_test=TEST)
        state = simulated.train(0.05, Batches(12, 5), 9).state
        arrays = state.points, simulated.outputs(state), simulated.values(state)
        ntk = composed_ntk(simulated, state)
        found.append([*map(np.asarray, (*arrays, ntk, simulated.largest_rate(FULL)))])
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(found[1][0], found[1][2])


@pytest.mark.parametrize("engine", ["features", pytest.param("history", marks=pytest.mark.slow)])
def test_float32_is_float64_but_for_rounding(engine):
    """From the same weights; 2e-5 is 300 roundings, of 30 steps of batches of 4."""
    simulated, batches = simulation(chain("relu", "relu", "relu"), engine=engine), Batches(12, 4)
    narrow = simulated.train(0.02, batches, 30).state
    with jax.enable_x64(True):
        weights = jax.tree.map(
            lambda leaf: jnp.asarray(leaf, float) if eqx.is_inexact_array(leaf) else leaf,
            simulated.initial,
        )
        precise = replace(simulated, initial=weights)
        wide = precise.train(0.02, batches, 30).state
        outputs = np.asarray(precise.outputs(wide))
    assert (narrow.points.dtype, wide.points.dtype) == ("float32", "float64")
    assert abs(np.asarray(wide.points) - simulated.points).max() > 0.1
    np.testing.assert_allclose(narrow.points, wide.points, atol=2e-5)
    np.testing.assert_allclose(simulated.outputs(narrow), outputs, atol=2e-5)


@pytest.mark.parametrize("engine", ["features", pytest.param("history", marks=pytest.mark.slow)])
def test_a_training_goes_on_where_it_stopped(engine):
    simulated, batches = simulation(chain("relu", "relu", "relu"), engine=engine), Batches(12, 5)
    whole = simulated.train(0.02, batches, 12)
    half = simulated.train(0.02, batches, 5)
    rest = simulated.train(0.02, batches, 7, state=half.state, first=5)
    np.testing.assert_allclose(rest.state.points, whole.state.points, atol=1e-6)
    np.testing.assert_allclose([*half.losses, *rest.losses], whole.losses, rtol=1e-5)


class OfOne(eqx.Module):
    """A wide network, of one example."""

    network: Any

    def __call__(self, x: Any) -> Any:
        return self.network.decoder(self.network.encoder(x))


def test_its_ntk_at_the_start_is_that_of_wide_networks(x64):
    """n^-1/2 = 0.01, and the NTK has a term for each of three segments; so the largest rate."""
    simulated = simulation(chain("relu", "relu", "relu"), n=10_000)
    found = composed_ntk(simulated, simulated.start())
    full = np.asarray(empirical_ntk(OfOne(simulated.initial), jnp.asarray(X)))
    exact = np.trace(full, axis1=2, axis2=3) / 2
    assert np.linalg.norm(found - exact) < 0.05 * np.linalg.norm(exact)
    largest = np.linalg.eigvalsh(full.transpose(0, 2, 1, 3).reshape(24, 24))[-1]
    assert simulated.largest_rate(FULL) == pytest.approx(2 / largest, rel=0.05)


def test_the_factors_of_the_ntk_are_those_of_its_matrix(x64):
    simulated = simulation(chain("relu", "relu", "relu"), n=50)
    ntk = ntk_at(simulated.network, simulated.dynamics, simulated.start(), np.arange(12))
    matrix = np.stack([ntk @ row for row in np.eye(len(ntk))])
    np.testing.assert_allclose(matrix, matrix.T, rtol=1e-12, atol=1e-12)
    assert ntk.trace == pytest.approx(matrix.trace())
    of_outputs = np.einsum("iaja->ij", matrix.reshape(12, 2, 12, 2)) / 2
    np.testing.assert_allclose(ntk.mean, of_outputs, rtol=1e-12)


@pytest.mark.slow
def test_small_steps_approach_the_flow_in_first_order(x64):
    """Slope of log error in log step; what is left of the second order is a few per cent."""
    simulated, counts = simulation(chain("relu", "erf", "softplus"), n=50), (100, 200, 400, 800)

    def outputs(t, state):
        return simulated.outputs(state)

    exact = flow(simulated, [0.0, 2.0], record=outputs, rtol=1e-9, atol=1e-11).records[-1]
    errors = [
        np.linalg.norm(simulated.outputs(simulated.train(2 / count, FULL, count).state) - exact)
        for count in counts
    ]
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(-1, abs=0.05)


def test_a_network_of_other_sizes_is_refused():
    simulated = simulation(n=20)
    with pytest.raises(ValueError, match="a bottleneck of 3 and 4, and the network one of 4 and 3"):
        replace(simulated, network=chain(sizes=(4, 3)))
    with pytest.raises(ValueError, match="a bottleneck of 30 units"):
        simulation(chain(sizes=(3, 30)), n=20)


def moved(simulated: Simulation) -> tuple[Any, ...]:
    """Values in both bottlenecks, and outputs, at the start and after all steps."""
    start, end = simulated.start(), simulated.train(RATE, FULL, STEPS).state
    return tuple(
        (np.asarray(of(start)), np.asarray(of(end))) for of in (simulated.values, simulated.outputs)
    )


def of_finite(simulated: Simulation) -> tuple[Any, ...]:
    """The same of the finite network with these initial functions, trained by its weights."""
    steps, y = jnp.asarray(FULL.some(0, STEPS)), jnp.asarray(simulated.y)
    rates = Rates(RATE, RATE)
    done = descend(simulated.initial, simulated.inputs, y, rates, steps, simulated.loss)

    def values(network: Any) -> np.ndarray:
        points = network.embed(simulated.inputs)
        return np.concatenate([points, network.decoder.sequence[0](points)], axis=1)

    ends = values(simulated.initial), values(done.network)
    return ends, (np.asarray(done.outputs[0]), np.asarray(done.outputs[-1]))


def errors(found: Any, exact: Any) -> list[float]:
    """Errors at the end of g, z and F, relative to how far the exact ones moved."""
    parts = []
    for a, (b0, b) in zip(found, exact, strict=True):
        cuts = [(0, 3), (3, 7)] if b.shape[1] == 7 else [(0, 2)]
        for i, j in cuts:
            moved = np.linalg.norm(b[:, i:j] - b0[:, i:j])
            parts.append(float(np.linalg.norm(a[1][:, i:j] - b[:, i:j]) / moved))
    return parts


@pytest.mark.slow
def test_a_finite_network_does_the_same(x64):
    """At n = 4,000 from these functions, which pass no saddle: with `history` g was within 4 %, z
    within 7 % and F within 1.5 %, with `features` within 2, 1.6 and 0.4 %.
    """
    for seed, engine in ((0, "history"), (0, "features"), (2, "history")):
        simulated = simulation(n=4000, seed=seed, engine=engine)
        of_points, of_values, of_outputs = errors(moved(simulated), of_finite(simulated))
        assert of_points < 0.12
        assert of_values < 0.2
        assert of_outputs < 0.05


@pytest.mark.slow
def test_the_errors_fall_with_the_width(x64):
    """Geometric means over g, z and F and 6 initial functions, over 64 times the width: n^-1/2 says
    an eighth, and the standard error is a half of itself. The engines approach each other alike."""

    def of(n):
        found = []
        for seed in range(6):
            simulated = simulation(n=n, seed=seed, engine="history")
            of_history, exact = moved(simulated), of_finite(simulated)
            of_features = moved(replace(simulated, engine="features"))
            pairs = (of_history, exact), (of_features, exact), (of_history, of_features)
            found.append([np.mean(np.log(errors(*pair))) for pair in pairs])
        return np.exp(np.mean(found, axis=0))

    assert (of(16_000) < 0.35 * of(250)).all()

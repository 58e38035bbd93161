"""Gradient flow: the limit of small steps, its tolerances, its agreement with exact kernels."""

import math
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.bottlenecks import Batches, Simulation, flow, mlp, relu, sample
from ceflow.dynamics import SquaredError
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck

RANDOM = np.random.default_rng(0)
X, Y, TEST = RANDOM.normal(size=(8, 4)), RANDOM.normal(size=(8, 2)), RANDOM.normal(size=(2, 4))
TIME = 2.0


def simulation(activation="softplus", d: float = 3, n=100, features: Any = "iid", **options):
    network = Bottleneck(size=d, encoder=relu(), decoder=mlp(activation))
    initial = sample(network, 4, 2, Seed(0), width=n, features=features)
    return Simulation(network, initial, X, Y, TEST, loss=SquaredError("sum"), **options)


def flowed(simulated, rtol=1e-9):
    found = flow(
        simulated,
        [0.0, TIME],
        record=lambda t, state: simulated.outputs(state),
        rtol=rtol,
        atol=rtol / 100,
    )
    assert found.ending
    return found.records[-1]


def stepped(simulated, steps):
    batches = Batches(len(X), len(X))
    return np.asarray(simulated.outputs(simulated.train(TIME / steps, batches, steps).state))


@pytest.mark.parametrize("d", [3, pytest.param(math.inf, marks=pytest.mark.slow)])
def test_small_steps_approach_the_flow_in_first_order(x64, d):
    """Slope of log error in log step; what is left of the second order is a few per cent."""
    simulated = simulation(d=d)
    exact, counts = flowed(simulated), (100, 200, 400, 800)
    errors = [np.linalg.norm(stepped(simulated, count) - exact) for count in counts]
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(-1, abs=0.05)


@pytest.mark.slow
def test_the_error_follows_the_tolerance(x64):
    """Of softplus: at least tenfold for each hundredfold."""
    simulated = simulation()
    exact = flowed(simulated, 1e-11)
    errors = [np.linalg.norm(flowed(simulated, rtol) - exact) for rtol in (1e-4, 1e-6, 1e-8)]
    assert errors[0] / errors[1] > 10
    assert errors[1] / errors[2] > 10
    assert errors[2] < 1e-6


def test_the_flow_agrees_with_exact_kernels(x64):
    """A linear decoder, of which only n tells them apart: n^-1/2 = 0.01, and steps of 1/400."""
    features = simulation("linear", n=10_000)
    of_flow, start = flowed(features, 1e-6), features.outputs(features.start())
    of_history = stepped(simulation("linear", n=10_000, engine="history"), 400)
    moved = np.linalg.norm(of_history - start)
    assert np.linalg.norm(of_flow - of_history) < 0.05 * moved


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "abs"])
def test_the_flow_agrees_with_exact_kernels_where_these_have_kinks(x64, activation):
    """Steps of 1/50 and 1/100 extrapolated to 0: what their second order leaves is below 1e-3, and
    features are off by n^-1/2, so 1 % at n = 10^4 and a third of what it is at 10^3."""

    def error(n):
        features, history = (
            simulation(activation, 2, n, features="quasi-random", engine=engine)
            for engine in ("features", "history")
        )
        coarse, fine = (stepped(history, count) for count in (100, 200))
        assert np.linalg.norm(fine - coarse) < 2e-3 * np.linalg.norm(fine)
        exact = 2 * fine - coarse
        moved = np.linalg.norm(exact - features.outputs(features.start()))
        return np.linalg.norm(flowed(features, 1e-5) - exact) / moved

    narrow, wide = error(1000), error(10_000)
    assert wide < 0.01
    assert wide < narrow / 2


@pytest.mark.slow
def test_rows_made_as_needed_make_the_same_flow(x64):
    kept, made = flowed(simulation(), 1e-6), flowed(simulation(memory=0), 1e-6)
    np.testing.assert_allclose(kept, made, atol=1e-8)


def test_a_past_does_not_flow():
    with pytest.raises(ValueError, match='needs the engine "features"'):
        flow(simulation("relu", engine="history"), [0.0, 1.0])


def test_points_of_the_flow_are_those_of_its_coefficients(x64):
    simulated = simulation()
    found = flow(simulated, [0.0, 1.0], record=lambda t, state: state.coefficients)
    theta = np.asarray(simulated.dynamics.kernel.matrix)  # pyright: ignore
    points = simulated.points - theta.T @ found.records[-1]
    assert jnp.isfinite(points).all()
    assert abs(points - simulated.points).max() > 0.01

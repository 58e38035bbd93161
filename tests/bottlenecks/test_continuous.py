"""Gradient flow: the limit of small steps, its tolerances, its agreement with exact kernels."""

import math

import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.bottlenecks import Batches, Bottleneck, Simulation, flow, mlp, relu, sample
from ceflow.dynamics import SquaredError
from ceflow.seeding import Seed

RANDOM = np.random.default_rng(0)
X, Y, TEST = RANDOM.normal(size=(8, 4)), RANDOM.normal(size=(8, 2)), RANDOM.normal(size=(2, 4))
TIME = 2.0


def simulation(activation="softplus", d=3.0, n=100, **options):
    network = Bottleneck(relu(), mlp(activation), d)
    initial = sample(network, 4, 2, Seed(0), width=n)
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


@pytest.mark.parametrize("d", [3.0, math.inf])
def test_small_steps_approach_the_flow_in_first_order(x64, d):
    """Slope of log error in log step; what is left of the second order is a few per cent."""
    simulated = simulation(d=d)
    exact, counts = flowed(simulated), (100, 200, 400, 800)
    errors = [np.linalg.norm(stepped(simulated, count) - exact) for count in counts]
    slope = np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert slope == pytest.approx(-1, abs=0.05)


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

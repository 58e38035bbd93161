"""Training in function space: both engines, against plain sums, each other, and finite networks."""

import math
from dataclasses import replace
from statistics import median

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from finite_networks import descend
from wrong_engines import FrozenSimulation, LinearisedSimulation, plain_history

from ceflow.bottlenecks import Batches, Instability, Rates, Simulation, mlp, relu, sample
from ceflow.dynamics import CrossEntropy, SquaredError
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck

RANDOM = np.random.default_rng(0)
X = RANDOM.normal(size=(16, 5))
Y = X @ RANDOM.normal(size=(5, 1)) / 5**0.5
TEST = RANDOM.normal(size=(3, 5))
EITHER = ["features", pytest.param("history", marks=pytest.mark.slow)]
"""Engines of what is alike with both."""


def simulation(kind=Simulation, *, n=500, seed=0, activation="relu", y=Y, d: float = 3, **options):
    network = Bottleneck(size=d, encoder=relu(), decoder=mlp(activation))
    features = options.pop("features", "quasi-random")
    initial = sample(network, 5, y.shape[1], Seed(seed), width=n, features=features)
    return kind(network, initial, options.pop("x", X), y, **options)


def relative(found, exact):
    """The largest error of any step, relative to the norm of that step."""
    found, exact = np.asarray(found), np.asarray(exact)
    return float(
        (np.linalg.norm(found - exact, axis=(1, 2)) / np.linalg.norm(exact, axis=(1, 2))).max()
    )


def path(simulated, rate, steps=120, every=10):
    """Outputs and points every few steps."""
    batches = Batches(len(simulated.x), len(simulated.x))
    done = simulated.train(
        rate,
        batches,
        steps,
        record_at=range(0, steps + 1, every),
        record=lambda step, state: {"outputs": simulated.outputs(state), "points": state.points},
    )
    assert done.instability is None
    return done.history["outputs"], done.history["points"]


def rate_of(simulated, share=0.3):
    return share * simulated.largest_rate(Batches(len(simulated.x), len(simulated.x)))


@pytest.mark.parametrize(
    ("activation", "loss"),
    [
        ("leaky-relu", CrossEntropy("mean")),
        pytest.param("relu", SquaredError("sum"), marks=pytest.mark.slow),
        pytest.param("linear", SquaredError("sum"), marks=pytest.mark.slow),
        pytest.param("relu", CrossEntropy("mean"), marks=pytest.mark.slow),
    ],
)
def test_history_is_the_plain_sums(x64, activation, loss):
    """Of eq. 42 to 44, with kernels pair by pair; blocks and products add in another order."""
    y = np.eye(3)[np.arange(16) % 3]
    simulated = simulation(
        n=50, activation=activation, y=y, engine="history", loss=loss, x_test=TEST,
        rate_factors=Rates(0.7, 1.0),
    )  # fmt: skip
    batches = Batches(16, 5, Seed(1))
    done = simulated.train(0.05, batches, 20)
    rates = Rates(0.7 * 0.05, 0.05)
    outputs, points = plain_history(simulated, rates, batches.some(0, 20))
    np.testing.assert_allclose(done.state.points, points, rtol=0, atol=1e-11)
    np.testing.assert_allclose(simulated.outputs(done.state), outputs, rtol=0, atol=1e-11)


@pytest.mark.slow
def test_features_approach_history():
    """g within 3 % at n = 10^4; over 64 times the width the error falls to a quarter at most,
    where n^-1/2 says an eighth: medians of 5 initial functions, which spread by a factor of 2."""

    def error(n, seed):
        one, two = (simulation(n=n, seed=seed, engine=e) for e in ("features", "history"))
        rate = rate_of(two)
        return relative(path(one, rate)[1], path(two, rate)[1])

    narrow, wide = (median(error(n, seed) for seed in range(5)) for n in (160, 10_240))
    assert wide < 0.03
    assert wide < narrow / 4


def against_finite(n, seed):
    """The largest errors of F and g against a finite network of the same initial functions, and of
    F with f_0 and J_0 left at g_0. Four layers, N = 16, d = 3, 120 full steps, a projection."""
    history = simulation(n=n, seed=seed, engine="history")
    rate = rate_of(history)
    finite = descend(
        history.initial,
        history.inputs,
        jnp.asarray(Y, "float32"),
        Rates(rate, rate),
        jnp.asarray(Batches(16, 16).some(0, 120)),
    )
    outputs, points = finite.outputs[::10], finite.points[::10]
    assert np.square(outputs[-1] - Y).mean() < 0.05 * np.square(outputs[0] - Y).mean()
    found = path(history, rate)
    frozen = simulation(FrozenSimulation, n=n, seed=seed, engine="history")
    errors = relative(found[0], outputs), relative(found[1], points)
    return *errors, relative(path(frozen, rate)[0], outputs)


def test_a_finite_network_does_the_same_and_frozen_functions_do_not():
    """At n = 20,000; how wrong frozen functions are depends on what is drawn, so their median."""
    of_outputs, of_points, frozen = zip(*(against_finite(20_000, s) for s in range(3)), strict=True)
    assert max(of_outputs) < 0.02
    assert max(of_points) < 0.05
    assert median(frozen) > 0.1


@pytest.mark.slow
def test_the_error_falls_with_the_width():
    """Slope of the median over 8 initial functions in log n; its standard error is about 0.1."""
    widths = (500, 2000, 8000, 32_000)
    errors = [median(against_finite(n, seed)[0] for seed in range(8)) for n in widths]
    slope = np.polyfit(np.log(widths), np.log(errors), 1)[0]
    assert -0.75 < slope < -0.3


def test_a_linearised_decoder_stays_wrong():
    """Of g, medians of 4 initial functions: Xi's second term does not come back with n."""

    def errors(n, seed):
        history = simulation(n=n, seed=seed, engine="history")
        rate = rate_of(history)
        exact = path(history, rate)[1]
        linear = simulation(LinearisedSimulation, n=n, seed=seed)
        return [
            relative(path(each, rate)[1], exact) for each in (linear, simulation(n=n, seed=seed))
        ]

    linear, moving = (
        median(kind) for kind in zip(*(errors(20_000, s) for s in range(4)), strict=True)
    )
    assert linear > 0.03
    assert linear > 2 * moving


@pytest.mark.parametrize("engine", EITHER)
def test_test_points_are_carried_along(x64, engine):
    simulated = simulation(n=50, engine=engine, x_test=TEST)
    state = simulated.train(0.5, Batches(16, 4), 30).state
    outputs = simulated.outputs(state)
    np.testing.assert_allclose(simulated.evaluate(state, TEST), outputs[16:], atol=1e-10)
    alone = simulation(n=50, engine=engine)
    without = alone.outputs(alone.train(0.5, Batches(16, 4), 30).state)
    np.testing.assert_allclose(outputs[:16], without, atol=1e-10)


def test_rows_made_as_needed_are_the_rows_kept(x64):
    kept, made = simulation(x_test=TEST), simulation(x_test=TEST, memory=0)
    one, two = (each.train(0.5, Batches(16, 4), 30).state for each in (kept, made))
    np.testing.assert_allclose(one.points, two.points, atol=1e-12)
    v = one.coefficients
    product = made.dynamics.kernel.product(v)
    np.testing.assert_allclose(product, kept.dynamics.kernel.product(v), atol=1e-12)
    np.testing.assert_allclose(one.points, kept.points - product, atol=1e-10)


@pytest.mark.parametrize("engine", EITHER)
def test_a_training_goes_on_where_it_stopped(engine):
    simulated, batches = simulation(engine=engine), Batches(16, 3, Seed(2))
    whole = simulated.train(0.5, batches, 30)
    half = simulated.train(0.5, batches, 13)
    rest = simulated.train(0.5, batches, 17, state=half.state, first=13)
    np.testing.assert_allclose(rest.state.points, whole.state.points, atol=1e-6)
    np.testing.assert_allclose([*half.losses, *rest.losses], whole.losses, atol=1e-6)


def test_what_is_recorded_does_not_change_the_training():
    simulated, batches = simulation(), Batches(16, 4)
    recorded = simulated.train(
        0.5, batches, 20, record_at=[0, 3, 20], record=lambda step, state: {"twice": 2 * step}
    )
    plain = simulated.train(0.5, batches, 20)
    assert recorded.history.columns == {"step": (0, 3, 20), "twice": (0, 6, 40)}
    np.testing.assert_allclose(recorded.losses, plain.losses, rtol=1e-6)


def test_buffers_of_the_past_are_doubled():
    engine = simulation(engine="history").dynamics.engine
    (past,) = engine.start()

    def rows(count, examples):
        return len(engine.room((past._replace(count=count),), examples)[0].chi)

    assert [rows(0, 4096), rows(0, 4097), rows(4000, 9000)] == [4096, 8192, 16384]


SQUARES, CROSS = SquaredError("mean"), CrossEntropy("sum")


@pytest.mark.parametrize(
    ("d", "loss", "size", "factor"),
    [
        (3, SQUARES, 16, 2),
        (3, SQUARES, 16, 1e30),
        pytest.param(3, CROSS, 16, 10, marks=pytest.mark.slow),
        (3, CROSS, 4, 10),
        (math.inf, SQUARES, 16, 1.2),
        (math.inf, CROSS, 16, 1e4),
        pytest.param(3, SQUARES, 4, 10, marks=pytest.mark.slow),
        pytest.param(3, CROSS, 16, 2, marks=pytest.mark.slow),
        pytest.param(math.inf, SQUARES, 16, 10, marks=pytest.mark.slow),
    ],
)
def test_a_rate_that_is_too_large_is_named(d, loss, size, factor):
    """Of full batches and a kernel that stays, 1.2 times the largest rate is seen. It is the worst
    batch's, the kernel may move, and chi of cross-entropy is bounded: then more may be survived.
    """
    simulated = simulation(d=d, y=np.eye(2)[np.arange(16) % 2], loss=loss)
    batches = Batches(16, size, Seed(0))
    largest = simulated.largest_rate(batches)
    assert simulated.train(0.9 * largest, batches, 200).instability is None
    done = simulated.train(factor * largest, batches, 200)
    wrong = done.instability
    assert wrong is not None
    assert (wrong.rate, wrong.largest) == (factor * largest, pytest.approx(largest))
    what = f"grew to {wrong.loss:.3g}" if np.isfinite(wrong.loss) else "stopped being finite"
    assert wrong.message() == (
        f"the learning rate {wrong.rate:.3g} is too large: the loss {what} at step {wrong.step}; at"
        f" the start the largest stable one is {largest:.3g}; try {largest / 3:.3g} or less"
    )
    assert np.isfinite(done.losses[: wrong.step]).all()


def test_a_rate_that_becomes_too_large_is_not_said_to_have_been_so_at_the_start():
    message = Instability(step=7, loss=math.inf, rate=0.3, largest=1.0).message()
    assert message == (
        "the learning rate 0.3 is too large: the loss stopped being finite at step 7; at the start"
        " the largest stable one is 1, but that has fallen in training; try 0.1 or less"
    )


def test_the_largest_rate_is_the_limit_of_a_constant_kernel():
    """Of an infinite bottleneck the kernel stays, and 2/lambda is the limit exactly."""
    simulated, batches = simulation(d=math.inf), Batches(16, 16)
    largest = simulated.largest_rate(batches)
    below, above = (simulated.train(f * largest, batches, 2000) for f in (0.99, 1.01))
    assert below.instability is None
    assert above.instability is not None or above.losses[-1] > above.losses[1000]


@pytest.mark.parametrize("engine", EITHER)
@pytest.mark.parametrize(
    "inputs",
    [
        np.vstack([X[:3], X[:1], np.zeros(5)]),
        pytest.param(X[:1], marks=pytest.mark.slow),
        pytest.param(np.zeros((2, 5)), marks=pytest.mark.slow),
    ],
    ids=["zero and equal", "one", "all zero"],
)
def test_odd_inputs_are_trained_on(engine, inputs):
    simulated = simulation(x=inputs, y=Y[: len(inputs)], engine=engine)
    batches = Batches(len(inputs), len(inputs))
    outputs = np.asarray(simulated.outputs(simulated.train(0.5, batches, 20).state))
    assert np.isfinite(outputs).all()
    np.testing.assert_allclose(outputs[(inputs == 0).all(1)], 0, atol=1e-6)
    assert (simulated.largest_rate(batches) == math.inf) == (not inputs.any())


@pytest.mark.parametrize("engine", EITHER)
def test_float32_is_float64_but_for_rounding(engine):
    """From the same weights; 2e-5 is 300 roundings, of 50 steps of batches of 4."""
    simulated, batches = simulation(engine=engine), Batches(16, 4)
    narrow = simulated.train(0.5, batches, 50).state.points
    with jax.enable_x64(True):
        weights = jax.tree.map(
            lambda leaf: jnp.asarray(leaf, float) if eqx.is_inexact_array(leaf) else leaf,
            simulated.initial,
        )
        wide = np.asarray(replace(simulated, initial=weights).train(0.5, batches, 50).state.points)
    assert (narrow.dtype, wide.dtype) == ("float32", "float64")
    assert abs(wide - simulated.points).max() > 0.1
    np.testing.assert_allclose(narrow, wide, atol=2e-5)


def test_copies_of_a_simulation_do_not_share_what_they_computed():
    simulated = simulation()
    assert replace(simulated, rate_factors=Rates(0.0, 1.0)).at(1.0).rates.encoder == 0
    assert simulated.at(1.0).rates.encoder == 1

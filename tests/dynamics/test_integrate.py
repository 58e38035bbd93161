"""Integration: order, tolerance, events, failures, records, restarts, replicas."""

from functools import partial
from typing import Any

import diffrax as dfx
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler.programs import program
from ceflow.dynamics import SOLVERS, default_solver, integrate, power_law
from ceflow.dynamics.ode import stepping
from ceflow.dynamics.ode.solvers import method_named


class Decay(eqx.Module):
    """`dy/dt = -r y`."""

    rates: jax.Array

    def __call__(self, t, y):
        return -self.rates * y


def logistic(t, y):
    return y * (1 - y)


def logistic_exact(t, y0):
    return 1 / (1 + (1 / y0 - 1) * np.exp(-t))


def fixed_steps(name, count):
    """The error of so many equal steps of a solver on a logistic curve to t = 2."""
    method = method_named(name, 1e-12, 1e-12)

    @eqx.filter_jit
    def solve(y):
        def one(i, pair):
            y, state = pair
            first, last = (jnp.asarray(2.0 * k / count) for k in (i, i + 1))
            y, _, _, state, _ = method.solver.step(
                stepping.TERMS, first, last, y, logistic, state, False
            )
            return y, state

        start = method.solver.init(stepping.TERMS, jnp.zeros(()), jnp.ones(()), y, logistic)
        return jax.lax.fori_loop(0, count, one, (y, jax.tree.map(jnp.asarray, start)))[0]

    return abs(float(solve(jnp.full(1, 0.1))[0]) - logistic_exact(2.0, 0.1))


@pytest.mark.parametrize(
    ("name", "order", "counts"),
    [("rkc", 2, (16, 32, 64)), ("tsit5", 5, (8, 16, 32)), ("kvaerno5", 5, (8, 16, 32)),
     ("dopri8", 8, (3, 5, 8))],
)  # fmt: skip
def test_the_order_of_convergence(name, order, counts, x64):
    errors = [fixed_steps(name, count) for count in counts]
    # The next term of the error is a step size smaller: a tenth or so of the order.
    assert power_law(counts, errors).slope == pytest.approx(-order, abs=0.12 * order)


def test_an_implicit_solver_is_chosen_in_float64_only():
    choose = partial(default_solver, 1e5, size=20)
    assert choose() == "kvaerno5"
    assert choose(precise=False) == "rkc"
    assert choose(precise=False, smooth=False) == "tsit5"


def test_every_solver_is_tried():
    assert set(SOLVERS) == {"rkc", "tsit5", "kvaerno5", "dopri8"}


@pytest.mark.parametrize("stages", [2, 5, 17, 60])
def test_the_stabilised_method_is_stable_up_to_its_bound(stages, x64):
    """Every eigenvalue of -rho .. 0 is damped, by a step with h rho just inside the bound."""
    solver = method_named("rkc", 1e-4, 1e-6).solver
    radius = (stages**2 - 1) * 0.65 / 1.15
    field = Decay(jnp.linspace(0, radius, 500))
    y = jnp.ones(500)
    top = jnp.zeros(500).at[-1].set(1.0)  # the eigenvector that the power method would find
    state = (field(0.0, y), top)
    one = eqx.filter_jit(solver.step)(
        stepping.TERMS, jnp.zeros(()), jnp.ones(()), y, field, state, False
    )[0]
    assert float(jnp.abs(one).max()) <= 1 + 1e-12
    assert float(jnp.abs(one[5:]).max()) < 0.99  # damped off 0, not on the edge of stability


@pytest.mark.parametrize("solver", SOLVERS)
def test_the_error_follows_the_tolerance(solver, x64):
    tolerance = 1e-6
    times = [0.0, 0.3, 2.0, 5.0]
    result = integrate(
        logistic, jnp.array([0.1]), times, solver=solver, rtol=tolerance, atol=tolerance
    )
    exact = logistic_exact(np.array(times), 0.1)
    # The sum of the steps' errors, each below the tolerance.
    np.testing.assert_allclose(result.records[:, 0], exact, atol=tolerance * result.accepted)


@pytest.mark.parametrize("solver", ["kvaerno5", "rkc"])
def test_stiff_solvers_need_few_steps_where_tsit5_needs_many(solver, x64):
    field, start = Decay(jnp.array([1.0, 30.0, 1e4])), jnp.ones(3)
    stiff, tsit5 = (integrate(field, start, [0.0, 2.0], solver=name)
                    for name in (solver, "tsit5"))  # fmt: skip
    assert stiff.ending
    assert tsit5.ending
    assert tsit5.accepted > 20 * stiff.accepted  # 1e4 * 2/3.3 steps against some hundred


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_precision_is_that_of_the_state(dtype, x64):
    result = integrate(lambda t, y: -y, jnp.ones(2, dtype), [0.0, 1.0])
    assert result.state.dtype == dtype
    np.testing.assert_allclose(result.state, np.exp(-1), rtol=1e-3)  # ten times rtol


def test_save_times_do_not_shorten_the_steps(x64):
    few = integrate(Decay(jnp.ones(1)), jnp.ones(1), [0.0, 10.0])
    many = integrate(Decay(jnp.ones(1)), jnp.ones(1), np.linspace(0, 10, 8))
    assert many.accepted <= few.accepted + 2 * 8


def test_any_number_of_segments_is_one_compilation():
    traced = []

    class Counted(eqx.Module):
        def __call__(self, t, y):
            traced.append(1)
            return -y

    integrate(Counted(), jnp.ones(2), [0.0, 1.0])
    once = len(traced)
    integrate(Counted(), jnp.ones(2), np.linspace(0, 3, 20))
    assert len(traced) == once


def test_time_0_is_the_state_itself():
    result = integrate(logistic, jnp.array([0.1]), [0.0])
    assert result.ending.how == "finished"
    assert result.times.tolist() == [0.0]
    assert result.records.tolist() == [[np.float32(0.1)]]


def test_a_field_of_0_does_not_move():
    result = integrate(lambda t, y: 0 * y, jnp.ones(2), [0.0, 100.0])
    assert result.ending
    assert result.state.tolist() == [1.0, 1.0]


def test_a_restart_from_the_middle_equals_the_whole_run(x64):
    whole = integrate(logistic, jnp.array([0.1]), [0.0, 1.0, 3.0], rtol=1e-8, atol=1e-8)
    half = integrate(logistic, jnp.array([0.1]), [0.0, 1.0], rtol=1e-8, atol=1e-8)
    rest = integrate(logistic, half.state, [1.0, 3.0], rtol=1e-8, atol=1e-8)
    np.testing.assert_allclose(rest.state, whole.state, atol=1e-7)  # ten times the tolerance


@pytest.mark.parametrize("solver", ["tsit5", "rkc"])
def test_dense_output_is_the_solution_at_any_time(solver, x64):
    result = integrate(
        logistic, jnp.array([0.1]), [0.0, 4.0], solver=solver, rtol=1e-6, atol=1e-6, dense=True
    )
    assert result.dense is not None
    times = np.linspace(0, 4, 41)
    values = [float(result.dense(t)[0]) for t in times]
    # Between the ends of steps by polynomials of order 3 and more, over steps of half a unit.
    np.testing.assert_allclose(values, logistic_exact(times, 0.1), atol=2e-3)
    assert result.dense(4.0)[0] == pytest.approx(float(result.state[0]), abs=1e-9)
    with pytest.raises(ValueError, match="from 0 to 4, not to 5"):
        result.dense(5.0)


def test_what_it_came_to_is_observed():
    seen = []
    integrate(Decay(jnp.full(1, 3e3)), jnp.ones(1), [0.0, 1.0], observe=seen.append)
    assert seen == sorted(seen)
    assert len(seen) > 5
    assert seen[-1] == 1.0


# Against diffrax's own loop.
@program
def diffeqsolve(field, y, end, solver, max_steps) -> Any:
    """From 0, by the method and the first step that ours has."""
    method = method_named(solver, 1e-6, 1e-6)
    first = stepping.start(stepping.Stepper(field, None, method), jnp.zeros(()), y).step
    return dfx.diffeqsolve(
        stepping.TERMS, method.solver, 0.0, end, first, y, field, max_steps=max_steps, throw=False,
        stepsize_controller=method.controller, adjoint=dfx.ForwardMode(),
    )  # fmt: skip


class Logistic(eqx.Module):
    def __call__(self, t, y):
        return logistic(t, y)


@pytest.mark.parametrize("solver", ["tsit5", "rkc"])
def test_the_steps_are_those_of_diffrax(solver, x64):
    start = jnp.array([0.1, 0.7])
    theirs = diffeqsolve(Logistic(), start, 4.0, solver, 1000)
    ours = integrate(Logistic(), start, [0.0, 4.0], solver=solver, rtol=1e-6, atol=1e-6)
    assert (ours.accepted, ours.rejected) == (
        theirs.stats["num_accepted_steps"], theirs.stats["num_rejected_steps"],
    )  # fmt: skip
    # The same arithmetic, which XLA may order otherwise.
    np.testing.assert_allclose(ours.state, theirs.ys[0], rtol=1e-12)


def test_a_nan_that_diffrax_tries_until_its_last_step_ends_ours(x64):
    class Hole(eqx.Module):
        def __call__(self, t, y):
            return jnp.where(y < 0.5, jnp.nan, -y)

    theirs = diffeqsolve(Hole(), jnp.ones(1), 5.0, "tsit5", 500)
    ours = integrate(Hole(), jnp.ones(1), [0.0, 5.0], rtol=1e-6, atol=1e-6)
    assert theirs.result == dfx.RESULTS.max_steps_reached
    assert ours.ending.reason == "nan"
    assert ours.accepted + ours.rejected < 200  # of which halvings down to rounding are 60
    np.testing.assert_allclose(ours.state, theirs.ys[0], rtol=1e-12)


# Where it stops.
@pytest.mark.parametrize("solver", ["tsit5", "rkc"])
def test_an_event_is_met_in_time_and_in_value(solver, x64):
    result = integrate(
        Decay(jnp.ones(1)), jnp.ones(1), [0.0, 0.5, 50.0], solver=solver, rtol=1e-7, atol=1e-7,
        stop=lambda t, y: jnp.log(y[0] / 0.2),
    )  # fmt: skip
    assert result.ending.how == "stopped"
    # The sum of the steps' errors, over the slope there.
    error = 1e-7 * result.accepted / 0.2
    assert result.ending.time == pytest.approx(np.log(5), abs=error)
    assert 0.2 * (1 - 2e-7) <= float(result.state[0]) <= 0.2  # rtol below, and never above
    assert result.times.tolist() == [0.0, 0.5, result.ending.time]


def test_an_event_that_is_a_jump_is_met_too(x64):
    result = integrate(
        Decay(jnp.ones(1)), jnp.ones(1), [0.0, 5.0],
        stop=lambda t, y: jnp.where(y[0] > 0.2, 1.0, -1.0),
    )  # fmt: skip
    assert result.ending.how == "stopped"
    assert result.ending.time == pytest.approx(np.log(5), abs=1e-3)  # ten times rtol


def test_what_is_past_its_event_does_not_start():
    result = integrate(Decay(jnp.ones(1)), jnp.ones(1), [0.0, 5.0], stop=lambda t, y: y[0] - 2.0)
    assert result.ending.how == "stopped"
    assert result.times.tolist() == [0.0]


def test_an_event_that_never_comes_changes_nothing():
    result = integrate(Decay(jnp.ones(1)), jnp.ones(1), [0.0, 2.0], stop=lambda t, y: y[0])
    assert result.ending.how == "finished"


# How it fails.
def check_failed(result, reason, dtype):
    assert not result.ending
    assert result.ending.reason == reason
    assert result.ending.advice
    assert ("float64" in result.ending.advice) == (dtype == "float32" and reason != "steps")
    assert np.isfinite(result.records).all()
    assert result.times[-1] == result.ending.time
    return result


@pytest.mark.parametrize(
    ("solver", "dtype"), [("tsit5", "float32"), ("rkc", "float32"), ("kvaerno5", "float64")]
)
def test_a_blow_up_in_finite_time_keeps_what_came_before(solver, dtype, x64):
    result = integrate(
        lambda t, y: y**2, jnp.ones(1, dtype), [0.0, 0.5, 2.0], solver=solver, rtol=1e-5
    )
    assert result.ending.reason in ("step-size", "nan")
    check_failed(result, result.ending.reason, dtype)
    assert result.times[:2].tolist() == [0.0, 0.5]
    assert result.records[1, 0] == pytest.approx(2, rel=1e-3)
    assert result.ending.time == pytest.approx(1, rel=1e-2)  # y = 1/(1 - t)


def test_a_stiffness_past_all_steps_ends_it_in_time(x64):
    """Of stages as many as a step of the controller's size asks for there would be no end."""
    result = integrate(lambda t, y: -1e40 * y, jnp.ones(1), [0.0, 1.0], solver="rkc", max_steps=50)
    check_failed(result, "steps", "float64")


def test_nan_ends_it_where_it_arises(x64):
    def field(t, y):
        return jnp.where(y < 0.5, jnp.nan, -y)

    result = check_failed(integrate(field, jnp.ones(1), [0.0, 0.1, 5.0]), "nan", "float64")
    assert result.ending.time == pytest.approx(np.log(2), rel=1e-3)
    assert "NaN" in result.ending.message


def test_nan_at_the_start_ends_it_at_once():
    result = integrate(lambda t, y: y * jnp.nan, jnp.ones(1), [0.0, 1.0])
    check_failed(result, "nan", "float32")
    assert result.times.tolist() == [0.0]


def test_a_field_without_a_solution_is_a_step_size_failure(x64):
    def field(t, y):
        return -jnp.sign(y) * jnp.abs(y) ** -0.9  # y = (1 - 1.9 t)^(1/1.9), and then nothing

    result = integrate(field, jnp.ones(1), [0.0, 0.25, 1.0], rtol=1e-6, atol=1e-9)
    check_failed(result, "step-size", "float64")
    assert result.ending.time == pytest.approx(1 / 1.9, abs=1e-6)
    assert result.records[1, 0] == pytest.approx((1 - 1.9 * 0.25) ** (1 / 1.9), rel=1e-5)


@pytest.mark.parametrize("dense", [False, True])
def test_too_many_steps_end_it(dense):
    field = Decay(jnp.full(1, 3e3))
    result = integrate(field, jnp.ones(1), [0.0, 1.0], max_steps=100, dense=dense)
    check_failed(result, "steps", "float32")
    assert result.accepted + result.rejected == 100
    assert "100 steps" in result.ending.message
    assert 0 < result.ending.time < 1


# Replicas.
@pytest.mark.parametrize("solver", ["tsit5", "rkc"])
def test_replicas_are_as_if_alone(solver, x64):
    starts = jnp.array([[0.1, 0.9], [0.5, 0.3], [0.01, 0.02]])
    times = [0.0, 0.7, 4.0]
    options: Any = {"solver": solver, "rtol": 1e-6, "atol": 1e-8}
    together = integrate(logistic, starts, times, replicas=True, **options)
    for index, start in enumerate(starts):
        alone = integrate(logistic, start, times, **options)
        # The same steps, whose arithmetic XLA may order otherwise.
        np.testing.assert_allclose(together.records[:, index], alone.records, rtol=1e-10)
        assert together.accepted[index] == alone.accepted
    assert together.ending.how == "finished"


def test_replicas_end_when_one_fails(x64):
    starts = jnp.array([[0.1], [1.0]])  # one blows up at t = 1, the other at 10
    result = integrate(lambda t, y: y**2, starts, [0.0, 0.5, 3.0], replicas=True)
    assert not result.ending
    assert result.times.tolist() == [0.0, 0.5]
    assert np.isfinite(result.records).all()


def test_more_steps_than_32_bits_count_are_as_many_as_they_do():
    assert integrate(logistic, jnp.ones(1), [0.0, 1.0], max_steps=10**12).ending


def test_what_cannot_be_is_refused():
    y = jnp.ones(1)
    for times in ([], [0.0, 0.0], [1.0, 0.0], [0.0, np.inf], [0.0, np.nan]):
        with pytest.raises(ValueError, match="times must be finite and rise"):
            integrate(logistic, y, times)
    with pytest.raises(ValueError, match=r"solver must be 'tsit5', .*, not 'euler'"):
        integrate(logistic, y, [0.0], solver="euler")
    with pytest.raises(ValueError, match="rtol must be above 0"):
        integrate(logistic, y, [0.0], rtol=0.0)
    with pytest.raises(ValueError, match="floats of one precision, not nothing"):
        integrate(logistic, (), [0.0])
    with pytest.raises(ValueError, match="replicas end together"):
        integrate(logistic, y, [0.0], replicas=True, dense=True)

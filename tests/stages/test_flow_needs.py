"""What flows ask of memory is known before they run."""

import pytest

from ceflow.compiler import compile
from ceflow.runs import machine, require_memory
from ceflow.runs.needs import forecast
from ceflow.spec import SpecError, loads

DATA = '[data]\nsource = "gaussian"\ninputs = 20\ntrain = 10\n'
BOTTLENECK = (
    '[model]\ntype = "bottleneck"\nsize = 2\n'
    "encoder = {{widths = [{0}]}}\ndecoder = {{widths = [inf]}}\n"
)
MLP = '[model]\ntype = "mlp"\nwidths = [256, 256]\nactivation = "tanh"\n'
FLOW = '[stages.f]\ntype = "flow"\ntime = 1.0\n'

TOO_LARGE = {
    "a dense system of a network's weights": (MLP, 'solver = "kvaerno5"', "solver"),
    "of weights linearised": (MLP, 'engine = "linearised"\nsolver = "kvaerno5"', "solver"),
    "of a sampled decoder": (BOTTLENECK.format("inf"), 'solver = "kvaerno5"', "solver"),
    "weights of a sampled encoder": (BOTTLENECK.format("inf, inf"), "width = 40000", "f.width"),
    "moments": (MLP, "points = 1_000_000_000_000", "f.points"),
    "kernels at moments": (MLP, 'record = ["drift"]\npoints = 1_000_000_000_000', "f.points"),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_what_does_not_fit_is_refused_with_advice(case, monkeypatch):
    model, options, advice = TOO_LARGE[case]
    monkeypatch.setattr(machine, "memory", lambda: 25e9)
    with pytest.raises(SpecError) as caught:
        require_memory(compile(loads(DATA + model + FLOW + options)))
    (fault,) = caught.value.faults
    assert fault.code == "CE401"
    assert advice in fault.help


@pytest.mark.parametrize("model", [MLP, BOTTLENECK.format("inf")])
def test_explicit_solvers_fit(model, monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 25e9)
    require_memory(compile(loads(DATA + model + FLOW)))


@pytest.mark.slow
@pytest.mark.parametrize(("train", "width"), [(10, 30), (10, 60), (40, 30)])
def test_dense_systems_take_what_is_forecast(train, width):
    """By what the compiler allots to the program."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from ceflow import dynamics
    from ceflow.dynamics.ode import stepping
    from ceflow.dynamics.ode.solvers import method_named

    model = f'[model]\ntype = "mlp"\nwidths = [{width}, {width}]\nactivation = "tanh"\n'
    text = DATA.replace("train = 10", f"train = {train}") + model + FLOW
    plans = [compile(loads(text + options)) for options in ("", 'solver = "kvaerno5"')]
    plain, dense = (forecast(each, each.document.stages["f"]).memory for each in plans)
    with jax.enable_x64(True):
        x, y = jnp.ones((train, 20)), jnp.ones((train, 1))
        flow, start = dynamics.parameter_flow(
            plans[0].module(jax.random.key(0)), x, y, dynamics.SquaredError()
        )
        stepper = stepping.Stepper(flow, None, method_named("kvaerno5", 1e-6, 1e-9))
        carry = eqx.filter_jit(stepping.start)(stepper, jnp.zeros(()), start)
        arrays, rest = eqx.partition((stepper, carry), eqx.is_array)

        def advance(arrays):
            stepper, carry = eqx.combine(arrays, rest)
            moved = stepping.advance(stepper, carry, jnp.ones(()), jnp.array(64))
            return eqx.filter(moved, eqx.is_array)

        found = jax.jit(advance).lower(arrays).compile().memory_analysis()
    assert found is not None
    assert 0.5 < (dense - plain) / found.temp_size_in_bytes < 2

"""What flows ask of memory is known before they run."""

import pytest

from ceflow.compiler import compile
from ceflow.data import load as read
from ceflow.runs import machine, prepare
from ceflow.spec import Document, Flow, SpecError, loads

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
        prepare(compile(loads(DATA + model + FLOW + options)))
    (fault,) = caught.value.faults
    assert fault.code == "CE401"
    assert advice in fault.help


PROCESS = 330e6
"""Bytes of a process that has loaded JAX."""

DERIVATIVES = {  # examples, widths and outputs, and the peak that a run of them had, in bytes
    "40 examples": (40, [300, 300], 2, 1213e6),
    "80 examples": (80, [300, 300], 2, 2312e6),
    "200 examples": (200, [300, 300], 2, 6889e6),
    "ten outputs": (60, [100, 100, 100], 10, 2453e6),
}


@pytest.mark.parametrize("case", DERIVATIVES)
def test_derivatives_take_the_memory_that_they_were_seen_to(case):
    train, widths, outputs, seen = DERIVATIVES[case]
    text = f"""
        data = {{source = "gaussian", inputs = 20, outputs = {outputs}, train = {train}}}
        model = {{type = "mlp", widths = {widths}, activation = "erf"}}
        [stages.f]
        type = "flow"
        time = 0.001
        points = 1
        record = ["derivatives"]
    """
    expected = PROCESS + prepare(compile(loads(text))).forecasts[""]["f"].memory
    assert 1 / 1.5 < expected / seen < 1.5


@pytest.mark.parametrize("model", [MLP, BOTTLENECK.format("inf")])
def test_explicit_solvers_fit(model, monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 25e9)
    prepare(compile(loads(DATA + model + FLOW)))


def flow_of(document: Document) -> Flow:
    stage = document.stages["f"]
    assert isinstance(stage, Flow)
    return stage


SMOOTH = MLP.replace("256, 256", "16, 16")
STEPS = {
    "weights": (SMOOTH, "time = 1.0"),
    "weights, few moments": (SMOOTH, "time = 1.0\npoints = 1"),
    "weights, at loose tolerance": (SMOOTH, "time = 2.0\npoints = 1\nrtol = 1e-3"),
    "weights, stiff": (SMOOTH, "time = 100.0\nsolver = 'tsit5'\npoints = 1"),
    "linearised": (SMOOTH, "time = 1.0\nengine = 'linearised'"),
    "functions": (SMOOTH, "time = 1.0\nengine = 'kernel'\nsolver = 'dopri8'\nrtol = 1e-10"),
}


@pytest.mark.slow
@pytest.mark.parametrize("case", STEPS)
def test_smooth_flows_take_as_many_steps_as_forecast(case, tmp_path):
    import ceflow
    from ceflow.stages.flow.forecast import steps_of

    model, options = STEPS[case]
    document = loads(f'{DATA}{model}[stages.f]\ntype = "flow"\n{options}\n')
    plan = compile(document)
    expected = steps_of(flow_of(document), plan, plan.model, size=1000)
    steps = ceflow.run(document, tmp_path / "run").results["f"]["steps"]
    assert 0.5 < expected.attempts / (steps["accepted"] + steps["rejected"]) < 2


@pytest.mark.slow
@pytest.mark.parametrize("activation", ["relu", "erf"])
@pytest.mark.parametrize(
    "data", ['source = "digits"\ntrain = 30', 'source = "circle"\npoints = 30']
)
def test_stiffness_is_near_the_largest_eigenvalue(data, activation):
    import numpy as np

    from ceflow.kernels import analytic, eigenvalue_max
    from ceflow.seeding import Seed
    from ceflow.stages.flow.forecast import stiffness

    model = f'[model]\ntype = "mlp"\nwidths = [inf, inf]\nactivation = "{activation}"\n'
    document = loads(f"[data]\n{data}\n{model}{FLOW}")
    plan = compile(document)
    assert document.data is not None
    x = read(document.data, plan.folder, Seed(0)).train.x
    found = eigenvalue_max(np.asarray(analytic(document.model, x).ntk))
    # the rule knows neither the examples nor the activation
    assert 1 / 3 < stiffness(flow_of(document), plan, plan.model) / found < 3


def test_the_steps_of_kinks_and_of_data_of_any_scale_are_not_known():
    from ceflow.stages.flow.forecast import steps_of

    def known(model: str, data: str = DATA) -> bool:
        document = loads(data + model + FLOW)
        plan = compile(document)
        return steps_of(flow_of(document), plan, plan.model, size=1000).known

    assert known(MLP)
    assert not known(MLP.replace("tanh", "relu"))
    assert not known(MLP, DATA + "scale = 100.0\n")


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
    plain, dense = (prepare(each).forecasts[""]["f"].memory for each in plans)
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

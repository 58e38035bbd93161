"""The flow stage: its engines against each other, the library and closed forms."""

import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ceflow
from ceflow import data, dynamics, kernels
from ceflow.kernels import analytic
from ceflow.seeding import Seed
from ceflow.spec import Document, Flow, Gaussian, Kernel, Mlp, Stop, Variance
from ceflow.stages.flow.problem import integrate_by
from ceflow.store import RunDirectory

TRAIN, TEST, OUTPUTS = 5, 3, 2
MLP = Mlp(widths=(12, 12), activation="erf", weight_variance=1.0)
INFINITE = Mlp(widths=(math.inf, math.inf), activation="erf", weight_variance=1.0)
TIGHT: dict[str, Any] = {"rtol": 1e-10, "atol": 1e-12, "solver": "dopri8"}
ENGINES = {
    "parameters": Flow(time=2.0, points=4, **TIGHT),
    "linearised": Flow(time=2.0, points=4, engine="linearised", start="parameters", **TIGHT),
    "kernel": Flow(time=2.0, points=4, engine="kernel", start="parameters", **TIGHT),
    "closed": Flow(time=2.0, points=4, engine="closed-form", start="parameters"),
}


def document(stages: dict[str, Any], **keys: Any) -> Document:
    defaults: dict[str, Any] = {
        "data": Gaussian(train=TRAIN, test=TEST, inputs=3, outputs=OUTPUTS),
        "model": MLP,
    }
    return Document(stages=stages, **(defaults | keys))


def lines(run: ceflow.Run, name: str) -> list[dict[str, Any]]:
    return list(RunDirectory(run.path).read_metrics(name).lines())


def array(run: ceflow.Run, name: str) -> np.ndarray:
    return RunDirectory(run.path).read_array(name)


def test_a_stiff_flow_in_float32_comes_to_its_end(tmp_path):
    """Of stiffness 2e5, under kinks: as the field of functions has none, they do not matter."""
    stages = {"flow": Flow(time=1.0, points=1, engine="kernel", steps=3000)}
    source = Gaussian(train=6, test=0, inputs=4, scale=100.0)
    asked = {"data": source, "model": Mlp(widths=(20,)), "precision": "float32"}
    found = ceflow.run(document(stages, **asked), tmp_path / "run").results["flow"]
    assert (found["solver"], found["ended"]) == ("rkc", "finished")
    # rounding of outputs of size 100, and of rtol 1e-4 in what is left
    assert found["train_loss"] < 1e-4


@dataclass
class Ended:
    """An integration that has ended."""

    ending: dynamics.Ending


FAILED = Ended(dynamics.Ending("failed", 0.1, "nan", "the state is NaN"))
FINISHED = Ended(dynamics.Ending("finished", 1.0))


@pytest.mark.parametrize(
    ("ends", "chosen", "kept"),
    [
        ({"tsit5": FINISHED}, True, "tsit5"),
        ({"tsit5": FAILED, "rkc": FINISHED}, True, "rkc"),
        ({"tsit5": FAILED, "rkc": FAILED}, True, "tsit5"),
        ({"tsit5": FAILED}, False, "tsit5"),
    ],
    ids=["finished", "another finishes", "both fail", "asked for"],
)
def test_another_solver_is_tried_where_the_chosen_one_fails(ends: Any, chosen: bool, kept: str):
    found = integrate_by(ends.__getitem__, "tsit5", chosen=chosen)
    assert (found.trajectory, found.solver) == (ends[kept], kept)
    warned = "the solver tsit5 was chosen and failed: the state is NaN; rkc did not"
    assert [text.startswith(warned) for text in found.warnings] == [True] * (kept == "rkc")


@cache
def examples() -> data.Dataset:
    source = document({}).data
    assert source is not None
    return data.load(source, Path(), Seed(0).fold("data"))


@pytest.fixture(scope="module")
def engines(tmp_path_factory):
    return ceflow.run(document(ENGINES), tmp_path_factory.mktemp("flow") / "run")


def drawn(run_document: Document, name: str, index: int = 0) -> Any:
    plan = ceflow.compile(run_document)
    return plan.module(Seed(0).fold("stages").fold(name).fold(index).jax())


def test_the_flow_of_parameters_is_the_librarys(engines, x64):
    module, found = drawn(document(ENGINES), "parameters"), examples()
    flow, start = dynamics.parameter_flow(
        module, found.train.x, found.train.y, dynamics.SquaredError()
    )
    result = dynamics.integrate(flow, start, [0.0, 2.0], **TIGHT)
    # both within their tolerances, over some tens of steps
    np.testing.assert_allclose(
        array(engines, "parameters.predictions")[:TRAIN], flow.outputs(result.state), atol=1e-8
    )


def test_gradient_descent_of_small_step_tends_to_it_at_order_1(engines, x64):
    module, found = drawn(document(ENGINES), "parameters"), examples()
    flow, start = dynamics.parameter_flow(
        module, found.train.x, found.train.y, dynamics.SquaredError()
    )

    @jax.jit
    def descend(count):
        def step(_, p):
            return jax.tree.map(lambda a, slope: a + 2.0 / count * slope, p, flow(0.0, p))

        return flow.outputs(jax.lax.fori_loop(0, count, step, start))

    final, counts = array(engines, "parameters.predictions")[:TRAIN], [64, 128, 256, 512]
    errors = [float(jnp.linalg.norm(descend(count) - final)) for count in counts]
    assert dynamics.power_law(counts, errors).slope == pytest.approx(-1, abs=0.05)  # next order


def test_engines_under_the_kernel_of_the_start_agree(engines):
    closed = array(engines, "closed.predictions")
    for name in ("linearised", "kernel"):
        np.testing.assert_allclose(array(engines, f"{name}.predictions"), closed, atol=1e-8)
        for ours, theirs in zip(lines(engines, name), lines(engines, "closed"), strict=True):
            assert ours == pytest.approx(theirs, abs=1e-7)


def test_they_are_the_closed_form_of_the_library(engines, x64):
    module, found = drawn(document(ENGINES), "parameters"), examples()
    x, y = found.train.x, found.train.y
    frozen = dynamics.ConstantKernel(np.asarray(kernels.empirical_ntk(module, x)))
    cross = np.asarray(kernels.empirical_ntk(module, found.test.x, x))
    start = [np.asarray(jax.vmap(module)(part)) for part in (x, found.test.x)]
    exact = np.concatenate(
        [frozen.train(2.0, start[0], y), frozen.test(2.0, cross, start[1], start[0], y)]
    )
    np.testing.assert_allclose(array(engines, "closed.predictions"), exact, atol=1e-12)  # rounding


def test_all_start_from_the_same_network(engines):
    losses = [lines(engines, name)[0]["train_loss"] for name in ENGINES]
    assert losses == pytest.approx([losses[0]] * 4, rel=1e-12)
    assert [line["time"] for line in lines(engines, "kernel")] == [0.0, 0.5, 1.0, 1.5, 2.0]


def test_the_distance_is_that_of_the_outputs(engines):
    one, two = (array(engines, f"{name}.predictions") for name in ("closed", "parameters"))
    expected = np.linalg.norm(one - two) / np.linalg.norm(two)
    assert engines.results["closed"]["distance"] == pytest.approx(expected, rel=1e-12)
    assert "distance" not in engines.results["parameters"]


def test_results_are_those_of_the_last_line(engines):
    for name in ENGINES:
        last = lines(engines, name)[-1]
        assert engines.results[name].table().items() >= last.items()
        assert engines.results[name]["ended"] == "finished"
    assert engines.results["parameters"]["steps"]["accepted"] > 10
    assert engines.results["closed"]["steps"] == {"accepted": 0, "rejected": 0}


def test_losses_are_those_of_the_predictions(engines):
    outputs, found = array(engines, "kernel.predictions"), examples()
    values = engines.results["kernel"]
    for part, rows in (("train", outputs[:TRAIN]), ("test", outputs[TRAIN:])):
        squares = np.square(rows - getattr(found, part).y).sum()
        assert values[f"{part}_loss"] == pytest.approx(0.5 * squares, rel=1e-12)


@pytest.fixture(scope="module")
def limits(tmp_path_factory):
    stages = {
        "closed": Flow(time=2.0, times=(0.5,)),
        "integrated": Flow(time=2.0, times=(0.5,), engine="kernel", **TIGHT),
        "end": Flow(time=math.inf),
        "mean": Flow(time=math.inf, reduction="mean"),
        "kernel": Kernel(),
        "driven": Flow(time=2.0, times=(0.5,), kernel="kernel"),
        "recorded": Flow(time=2.0, times=(0.5,), record=["predictions"]),
    }
    return ceflow.run(document(stages, model=INFINITE), tmp_path_factory.mktemp("limits") / "run")


def test_an_infinite_network_by_closed_form_and_by_diffrax(limits):
    one, two = (array(limits, f"{name}.predictions") for name in ("closed", "integrated"))
    np.testing.assert_allclose(one, two, atol=1e-8)  # the figure
    np.testing.assert_array_equal(one, array(limits, "driven.predictions"))
    assert limits.results["driven"].get("test_stddev") is None


def test_the_spread_over_initialisations_is_kept_beside_the_outputs(limits):
    arrays = limits.arrays
    std = arrays["recorded"].std
    assert std.shape == (3, TRAIN + TEST)
    np.testing.assert_array_equal(std[-1], arrays["closed"].std)
    np.testing.assert_allclose(
        np.square(std[-1, TRAIN:]), np.diag(arrays["closed"].covariance), atol=1e-14
    )
    with jax.enable_x64(True):
        x = np.concatenate([examples().train.x, examples().test.x])
        prior = np.diag(np.asarray(analytic(INFINITE, x).nngp))
    np.testing.assert_allclose(np.square(std[0]), prior, rtol=1e-12)
    for row, line in zip(std, lines(limits, "recorded"), strict=True):
        sizes = [np.sqrt(np.square(part).mean()) for part in (row[:TRAIN], row[TRAIN:])]
        assert [line["train_stddev"], line["test_stddev"]] == pytest.approx(sizes)
    assert "std" not in arrays["integrated"]


def test_at_infinite_time_it_is_kernel_regression(limits):
    found, results = examples(), limits.results["end"]
    with jax.enable_x64(True):
        prior, ntk, _ = map(np.asarray, analytic(INFINITE, found.train.x))
        between, rows, _ = map(np.asarray, analytic(INFINITE, found.test.x, found.train.x))
        test = np.asarray(analytic(INFINITE, found.test.x).nngp)
    weights = np.linalg.solve(ntk, rows.T).T
    # rounding times the condition of the kernel, below 100
    np.testing.assert_allclose(
        array(limits, "end.predictions")[TRAIN:], weights @ found.train.y, atol=1e-11
    )
    mixed = weights @ between.T
    covariance = test - mixed - mixed.T + weights @ prior @ weights.T
    np.testing.assert_allclose(array(limits, "end.covariance"), covariance, atol=1e-11)
    spread = np.sqrt(np.diag(covariance).mean())
    assert results["test_stddev"] == pytest.approx(spread, rel=1e-9)
    assert results["train_loss"] == pytest.approx(0, abs=1e-20)
    assert (results["time"], lines(limits, "end")[-1]["time"]) == ("inf", "inf")
    np.testing.assert_array_equal(
        array(limits, "mean.predictions"), array(limits, "end.predictions")
    )


@pytest.mark.slow
def test_a_wide_network_flows_as_its_kernel_says(tmp_path):
    """Theorem 1: what is left is of the order of 1/n."""
    stages = {
        "wide": Flow(time=3.0, points=1, rtol=1e-4),
        "limit": Flow(time=3.0, points=1, engine="closed-form", start="wide"),
    }
    distances = []
    for width in (32, 512):
        model = MLP.model_copy(update={"widths": (width, width)})
        run = ceflow.run(document(stages, model=model), tmp_path / str(width))
        distances.append(run.results["limit"]["distance"])
    # 1/16, and single networks scatter by a factor of about two, on a fixed seed
    assert distances[1] < distances[0] / 4
    assert distances[1] < 0.02


@pytest.mark.parametrize("method", ["analytic", "empirical", "mean"])
def test_an_earlier_stages_kernel_drives_test_points_too(method, tmp_path):
    kernel = Kernel(method=method, draws=3 if method == "mean" else None)
    stages = {"k": kernel, "flow": Flow(time=1.0, points=1, kernel="k")}
    run = ceflow.run(document(stages), tmp_path / "run")
    frozen = dynamics.ConstantKernel(array(run, "k"))
    with jax.enable_x64(True):
        module: Any = drawn(document(stages), "flow")
        start = np.asarray(jax.vmap(module)(examples().train.x))
    outputs = array(run, "flow.predictions")
    exact = frozen.train(1.0, start, examples().train.y)
    np.testing.assert_allclose(outputs[:TRAIN], exact, atol=1e-10)  # rounding
    assert len(outputs) == TRAIN + TEST
    alone = document(stages, data=Gaussian(train=TRAIN, inputs=3, outputs=OUTPUTS))
    again = ceflow.run(alone, tmp_path / "alone")
    np.testing.assert_allclose(array(again, "flow.predictions"), exact, atol=1e-10)


def test_a_kernel_drawn_without_weights_knows_training_points_only(tmp_path):
    model = MLP.model_copy(update={"widths": (1024, 1024)})
    stages = {"k": Kernel(method="empirical"), "flow": Flow(time=1.0, points=1, kernel="k")}
    run = ceflow.run(document(stages, model=model), tmp_path / "run")
    assert len(array(run, "flow.predictions")) == TRAIN
    assert "test_loss" not in run.results["flow"]
    assert "training examples only" in run.results["flow"]["warnings"][0]


def test_a_kernel_in_tiles_is_that_of_one_network_for_test_points_too(tmp_path):
    """So wide, it would be drawn without weights if it were not in tiles."""
    model = MLP.model_copy(update={"widths": (1024,)})
    kernel = Kernel(method="empirical", tile=4)
    given = document({"k": kernel, "flow": Flow(time=1.0, points=1, kernel="k")}, model=model)
    run = ceflow.run(given, tmp_path / "run")
    (x, y), test = (examples().train.x, examples().train.y), examples().test.x
    with jax.enable_x64(True):
        network, flowing = drawn(given, "k"), drawn(given, "flow")
        matrix, rows = (
            np.asarray(kernels.empirical_ntk(network, each, x, trace=True)) / OUTPUTS
            for each in (x, test)
        )
        start, there = (np.asarray(jax.vmap(flowing)(each)) for each in (x, test))
    np.testing.assert_allclose(array(run, "k"), matrix, rtol=1e-10)
    exact = dynamics.ConstantKernel(matrix).test(1.0, rows, there, start, y)
    np.testing.assert_allclose(array(run, "flow.predictions")[TRAIN:], exact, atol=1e-10)


def test_the_distance_is_to_outputs_at_the_same_time_and_of_the_same_examples(tmp_path):
    model = MLP.model_copy(update={"widths": (1024, 1024)})
    stages = {
        "k": Kernel(method="empirical"),  # drawn without weights: no test examples
        "short": Flow(time=1.0, points=1, kernel="k"),
        "all": Flow(time=1.0, points=1, engine="closed-form", start="short"),
        "ends": Flow(time=math.inf, points=1, engine="closed-form", kernel="k"),
        "also": Flow(time=math.inf, points=1, engine="closed-form", kernel="k", start="ends"),
        "stopped": Flow(time=9.0, points=1, stop=Stop(train_loss=1.0), start="ends"),
    }
    found = ceflow.run(document(stages, model=model), tmp_path / "run").results
    assert 0 < found["all"]["distance"] < 1
    assert found["also"]["distance"] == 0
    assert found["stopped"]["ended"] == "stopped"
    assert "distance" not in found["stopped"]


@pytest.mark.parametrize("engine", ["parameters", "linearised", "kernel"])
def test_a_flow_stops_at_a_loss(engine, tmp_path):
    flow = Flow(time=100.0, points=2, engine=engine, stop=Stop(train_loss=0.5), rtol=1e-5)
    run = ceflow.run(document({"flow": flow}), tmp_path / "run")
    values = run.results["flow"]
    assert values["ended"] == "stopped"
    assert 0 < values["time"] < 100
    assert values["train_loss"] == pytest.approx(0.5, rel=2e-5)  # twice rtol
    assert lines(run, "flow")[-1]["train_loss"] == values["train_loss"]


@pytest.mark.parametrize("engine", ["parameters", "kernel", "closed-form"])
def test_the_mean_over_outputs_is_the_mean_at_a_time_times_their_number(engine, tmp_path):
    keys: dict[str, Any] = {"points": 2, "engine": engine}
    keys |= {} if engine == "closed-form" else {"rtol": 1e-8, "atol": 1e-10}
    stages = {
        "mean": Flow(time=4.0, reduction="mean", **keys),
        "all": Flow(time=8.0, reduction="mean-all", **keys),
    }
    runs = [ceflow.run(document({"t": each}), tmp_path / name) for name, each in stages.items()]
    one, two = (array(run, "t.predictions") for run in runs)
    np.testing.assert_allclose(one, two, rtol=1e-6, atol=1e-7)  # rtol a step, and rounding
    mean, every = (run.results["t"] for run in runs)
    assert mean["train_loss"] == pytest.approx(2 * every["train_loss"], rel=1e-6)


def test_cross_entropy_and_mean_reduction(tmp_path):
    from ceflow.spec import Digits

    stages = {
        "sum": Flow(time=1.0, points=1, loss="cross-entropy", rtol=1e-5),
        "mean": Flow(time=10.0, points=1, loss="cross-entropy", reduction="mean", start="sum"),
        "linear": Flow(time=1.0, points=1, loss="cross-entropy", engine="linearised", rtol=1e-5),
        "kernel": Flow(time=1.0, points=1, loss="cross-entropy", engine="kernel", start="linear"),
    }
    digits = Digits(train=10, test=10, classes=["3", "8"])
    run = ceflow.run(document(stages, data=digits), tmp_path / "run")
    one, two = run.results["sum"], run.results["mean"]
    # tolerances of 1e-6 a step
    assert one["train_loss"] == pytest.approx(10 * two["train_loss"], rel=1e-4)
    outputs = [array(run, f"{name}.predictions") for name in ("sum", "mean")]
    np.testing.assert_allclose(outputs[0], outputs[1], atol=1e-4)
    assert run.results["kernel"]["distance"] < 1e-4
    assert one["train_loss"] < lines(run, "sum")[0]["train_loss"]
    assert 0 <= one["test_accuracy"] <= 1


LINEAR = MLP.model_copy(update={"activation": "linear"})
TROUBLE = {
    "steps": (Flow(time=50.0, points=5, steps=30), {}, "30 steps were not enough", "more steps"),
    "nan": (
        Flow(time=1.0, points=2),
        {"model": LINEAR, "data": Gaussian(train=TRAIN, inputs=3, scale=1e160)},
        "the state or its derivative is NaN or infinite",
        "a smaller time or smaller inputs",
    ),
}


@pytest.mark.parametrize("reason", TROUBLE)
def test_trouble_ends_the_stage_and_not_the_run(reason, tmp_path):
    flow, rest, said, advice = TROUBLE[reason]
    stages = {"flow": flow, "next": Variance(ratios=(0.5, 1.0), draws=100)}
    run = ceflow.run(document(stages, **rest), tmp_path / "run")
    values = run.results["flow"]
    assert values["ended"] == reason
    (warning,) = values["warnings"]
    assert warning.startswith("the flow ended at mu t = ")
    assert said in warning
    assert advice in warning
    text = (run.path / "metrics" / "flow.jsonl").read_text()
    assert "NaN" not in text
    assert "Infinity" not in text
    assert json.loads((run.path / "run.json").read_text())["state"] == "done"
    assert run.results["next"]["alpha"] > 0


def test_float32_says_so_and_advises_more(tmp_path):
    flow = Flow(time=50.0, points=5, steps=20)
    run = ceflow.run(document({"flow": flow}, precision="float32"), tmp_path / "run")
    assert run.results["flow"]["rtol"] == 1e-4
    assert array(run, "flow.predictions").dtype == np.float32


@pytest.mark.parametrize("reason", ["nan", "step-size", "steps"])
@pytest.mark.parametrize("precise", [True, False])
def test_advice_is_in_the_languages_words(reason, precise):
    from ceflow.dynamics.ode.integrate import failure
    from ceflow.stages.flow.run import advised

    said = advised(failure(reason, 0.5, 7, "tsit5", precise), 2.0)
    assert said.startswith("the flow ended at mu t = 0.5 of 2: ")
    assert "a smaller time" in said
    assert ('precision = "float64"' in said) == (not precise and reason != "steps")

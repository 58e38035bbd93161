"""Flow and kernel stages of networks with a bottleneck: infinitely wide, in one part or all, and
finite."""

import math
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

import ceflow
from ceflow import data, kernels
from ceflow.blocks import Table
from ceflow.bottlenecks import Batches, Simulation, composed_ntk, sample
from ceflow.dynamics import ConstantKernel, SquaredError
from ceflow.runs import prepare
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck, Circle, DeepGp, Document, Flow, Kernel, Mlp, Npz, Stop, Train
from ceflow.stages.flow.report import describe
from ceflow.store import RunDirectory

TRAIN, TEST, TIME = 8, 3, 2.0
DATA = DeepGp(inputs=4, outputs=2, train=TRAIN, test=TEST)
FEATURES: dict[str, Any] = {"width": 100, "sampling": "quasi-random", "points": 4}
LOOSE: dict[str, Any] = FEATURES | {"rtol": 1e-2, "solver": "dopri8"}
TIGHT: dict[str, Any] = FEATURES | {"rtol": 1e-8, "solver": "dopri8"}


def network(size: float = 3, width: float = math.inf, activation: Any = "softplus") -> Bottleneck:
    halves = ("relu", activation)
    encoder, decoder = (
        Mlp(widths=[width], activation=each, weight_variance=1.0) for each in halves
    )
    return Bottleneck(size=size, encoder=encoder, decoder=decoder)


def done(folder: Path, model: Bottleneck, source: Any = DATA, precision: Any = "float64", **stages):
    document = Document(data=source, model=model, precision=precision, stages=stages)
    return ceflow.run(document, folder / "run")


def array(run: ceflow.Run, name: str) -> np.ndarray:
    return RunDirectory(run.path).read_array(name)


def lines(run: ceflow.Run, name: str) -> list[dict[str, Any]]:
    return list(RunDirectory(run.path).read_metrics(name).lines())


def simulation(model: Bottleneck, name: str, index: int = 0, width: int = 100) -> Simulation:
    """That of a stage's replica, made anew."""
    source = data.load(DATA, Path(), Seed(0).fold("data"))
    seed = Seed(0).fold("stages").fold(name).fold(index)
    initial = sample(model, 4, 2, seed, width=width, features="quasi-random")
    x, y, test = source.train.x, source.train.y, source.test.x
    return Simulation(model, initial, x, y, test, loss=SquaredError("sum"))


@pytest.fixture(scope="module")
def wide(tmp_path_factory):
    """Flows of an infinitely wide network with a bottleneck, compiled once."""
    stages = {
        "flow": Flow(time=TIME, **TIGHT),
        "watched": Flow(time=TIME, record=["drift", "kernel", "alignment", "spectrum"], **TIGHT),
        "replicas": Flow(time=TIME, replicas=3, entries=[(0, 1)], **TIGHT),
        "stopped": Flow(time=50.0, stop=Stop(train_loss=1.0), **TIGHT),
    }
    return done(tmp_path_factory.mktemp("wide"), network(), **stages)


def test_the_flow_is_the_limit_of_small_steps(wide, x64):
    """The error of n steps falls as 1/n, and Richardson's rule takes most of it away."""
    simulated, outputs = simulation(network(), "flow"), array(wide, "flow.predictions")

    def stepped(count: int) -> np.ndarray:
        state = simulated.train(TIME / count, Batches(TRAIN, TRAIN), count).state
        return np.asarray(simulated.outputs(state))

    coarse, fine = stepped(400), stepped(800)
    moved = np.linalg.norm(outputs - simulated.outputs(simulated.start()))
    errors = [np.linalg.norm(each - outputs) / moved for each in (coarse, fine, 2 * fine - coarse)]
    assert errors[1] < 0.01
    assert errors[1] == pytest.approx(errors[0] / 2, rel=0.05)  # what is of second order
    assert errors[2] < 0.05 * errors[1]


def test_what_is_recorded_of_the_ntk_is_of_the_composed_one(wide, x64):
    simulated, found = simulation(network(), "watched"), array(wide, "watched.kernel")
    first = composed_ntk(simulated, simulated.start())
    np.testing.assert_allclose(found[0], first, rtol=1e-10)
    start, *_, last = lines(wide, "watched")
    assert start["drift"] == 0
    assert last["drift_relative"] == pytest.approx(
        np.linalg.norm(found[-1] - found[0]) / np.linalg.norm(found[0])
    )
    assert last["drift_relative"] > 0.01
    assert last["eigenvalue_max"] == pytest.approx(np.linalg.eigvalsh(found[-1])[-1])
    assert last["alignment"] == pytest.approx(kernels.alignment(found[-1], simulated.y))


def test_replicas_start_from_other_functions_and_medians_are_told(wide, x64):
    outputs = array(wide, "replicas.predictions")
    assert outputs.shape == (3, TRAIN + TEST, 2)
    assert abs(outputs[0] - outputs[1]).max() > 0.01
    starts = [simulation(network(), "replicas", index) for index in range(3)]
    each = [composed_ntk(one, one.start())[0, 1] for one in starts]
    assert lines(wide, "replicas")[0]["entries"] == pytest.approx([np.median(each)])


def test_a_flow_stops_at_a_loss(wide):
    values = wide.results["stopped"]
    assert values["ended"] == "stopped"
    assert values["time"] < 50
    assert values["train_loss"] == pytest.approx(1.0, rel=1e-6)


def test_results_say_what_was_sampled(wide):
    values = wide.results["flow"]
    keys = ("engine", "width", "sampling", "rtol")
    assert [values[key] for key in keys] == ["features", 100, "quasi-random", TIGHT["rtol"]]
    table = describe(values)[0]
    assert isinstance(table, Table)
    assert str(table.rows[0][1]).startswith("quasi-random features of width 100, by dopri8")


def test_a_looser_tolerance_is_further_off(wide, tmp_path):
    loose = done(tmp_path, network(), flow=Flow(time=TIME, **LOOSE))
    apart = array(loose, "flow.predictions") - array(wide, "flow.predictions")
    assert 1e-7 < abs(apart).max() < 1e-1
    assert loose.results["flow"]["steps"]["accepted"] < wide.results["flow"]["steps"]["accepted"]


@pytest.mark.slow
def test_float32_of_a_decoder_with_kinks(tmp_path):
    """Held against steps of 1/2000, in the same precision: JAX draws others in float64."""
    model = network(activation="relu")
    run = done(tmp_path, model, precision="float32", flow=Flow(time=TIME, **FEATURES))
    found = array(run, "flow.predictions")
    assert found.dtype == np.float32
    assert run.results["flow"]["rtol"] == 1e-4
    simulated, steps = simulation(model, "flow"), 4000
    state = simulated.train(TIME / steps, Batches(TRAIN, TRAIN), steps).state
    np.testing.assert_allclose(found, simulated.outputs(state), atol=5e-3)  # the step's error


def test_the_plan_says_how_many_weights_are_sampled_between_hidden_layers():
    """200 (3 + 2) and 200^2 of two hidden layers; of one, the plan says nothing."""
    deep = network().replaced({"decoder": Mlp(widths=(math.inf, math.inf), weight_variance=1.0)})
    said = []
    for model in (network(), deep):
        stages: dict[str, Any] = {
            "flow": Flow(time=1.0, width=200),
            "features": Train(steps=2, width=200),
            "history": Train(steps=2, width=200, engine="history"),
        }
        plan = ceflow.compile(Document(data=DATA, model=model, stages=stages))
        said.append([needs.remarks for needs in prepare(plan).needs().values()])
    remark = ("41.0 k sampled weights, 200² between two hidden layers",)
    assert said == [[(), (), ()], [remark, remark, ()]]


def test_data_that_cannot_move_are_remarked_upon(tmp_path):
    np.savez(tmp_path / "zero.npz", x=np.zeros((2, 3)), y=np.ones((2, 1)))
    source = Npz(path=str(tmp_path / "zero.npz"))
    flow = Flow(time=1.0, record=["drift"], **FEATURES)
    run = done(tmp_path, network(), source, precision="float32", flow=flow)
    assert run.results["flow"]["rtol"] == 1e-4
    assert array(run, "flow.predictions").dtype == np.float32
    assert "training inputs are zero" in run.results["flow"]["warnings"][0]
    assert run.results["flow"]["drift"] == 0


def test_an_infinite_bottleneck_flows_by_its_one_kernel(tmp_path, x64):
    """In closed form by default, with the uncertainty of test outputs."""
    model = network(size=math.inf)
    flows = {"closed": Flow(time=TIME), "solved": Flow(time=TIME, engine="kernel", rtol=1e-10)}
    run = done(tmp_path, model, **flows)
    source = data.load(DATA, Path(), Seed(0).fold("data"))
    x, y, test = source.train.x, source.train.y, source.test.x
    frozen = ConstantKernel(np.asarray(kernels.analytic(model, x).ntk))
    cross = np.asarray(kernels.analytic(model, test, x).ntk)
    exact = np.concatenate(
        [frozen.train(TIME, 0 * y, y), frozen.test(TIME, cross, np.zeros((TEST, 2)), 0 * y, y)]
    )
    for name in flows:
        np.testing.assert_allclose(array(run, f"{name}.predictions"), exact, atol=1e-8)
    assert run.results["closed"]["engine"] == "closed-form"
    assert array(run, "closed.covariance").shape == (TEST, TEST)
    assert run.results["closed"]["test_stddev"] > 0


@pytest.mark.slow
def test_a_wide_bottleneck_flows_as_an_infinite_one(tmp_path):
    """d = 2,000 and n = 4,000, from functions that are not 0: the change of outputs alone."""
    wide, limit = network(size=2000, activation="relu"), network(math.inf, activation="relu")
    flow = Flow(time=0.5, width=4000, points=1, rtol=1e-3)
    run = done(tmp_path, wide, precision="float32", flow=flow)
    source = data.load(DATA, Path(), Seed(0).fold("data"))
    x, y = source.train.x, source.train.y
    first = sample(wide, 4, 2, Seed(0).fold("stages").fold("flow").fold(0), width=4000)(
        jnp.asarray(x, "float32")
    )
    frozen = ConstantKernel(np.asarray(kernels.analytic(limit, x).ntk))
    expected = frozen.train(0.5, np.asarray(first), y)
    moved = np.linalg.norm(expected - first)
    found = array(run, "flow.predictions")[:TRAIN]
    assert np.linalg.norm(found - expected) < 0.1 * moved  # a few 2,000^-1/2


@pytest.mark.parametrize(
    "engine",
    [
        "closed-form",
        *(pytest.param(e, marks=pytest.mark.slow) for e in ("parameters", "linearised", "kernel")),
    ],
)
def test_a_finite_bottleneck_flows_by_every_other_engine(tmp_path, engine):
    run = done(tmp_path, network(width=20), flow=Flow(time=TIME, points=2, engine=engine))
    start, *_, end = lines(run, "flow")
    assert end["train_loss"] < start["train_loss"]


@pytest.mark.slow
def test_a_finite_bottleneck_is_followed_with_its_ntk(tmp_path):
    flow = Flow(time=TIME, points=2, record=["drift", "derivatives"], replicas=2)
    run = done(tmp_path, network(width=20), flow=flow)
    assert run.results["flow"]["engine"] == "parameters"
    assert run.results["flow"]["drift"] > 0


def test_the_kernel_of_an_infinite_bottleneck(tmp_path, x64):
    model = network(size=math.inf)
    stages = {
        "ntk": Kernel(spectrum=True, alignment=True, ridge=0.1),
        "nngp": Kernel(kind="nngp"),
        "tiled": Kernel(tile=3, reference="ntk"),
    }
    run = done(tmp_path, model, **stages)
    x = data.load(DATA, Path(), Seed(0).fold("data")).train.x
    exact = kernels.analytic(model, x)
    np.testing.assert_allclose(array(run, "ntk"), exact.ntk, rtol=1e-12)
    np.testing.assert_allclose(array(run, "nngp"), exact.nngp, rtol=1e-12)
    assert run.results["tiled"]["distance"] < 1e-12


def test_kernels_of_finite_bottlenecks(tmp_path):
    """A mean over draws until its error is 20 %: any one network is further away than that."""
    stages = {
        "mean": Kernel(method="mean", error=0.2),
        "one": Kernel(method="empirical", reference="mean", draws=4),
        "full": Kernel(method="empirical", outputs="full"),
    }
    run = done(tmp_path, network(width=20), Circle(points=6), **stages)
    assert run.results["mean"]["draws"] < 10_000
    assert 0.1 < run.results["one"]["distance"] < 10
    assert array(run, "full").shape == (6, 6, 1, 1)

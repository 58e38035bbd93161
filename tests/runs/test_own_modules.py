"""Runs on modules of the user's: the same numbers as by hand, kept as long as they are the same."""

import json
import shutil
import sys
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner

import ceflow
from ceflow.cli import main
from ceflow.kernels import empirical_nngp, empirical_ntk
from ceflow.runs import trained
from ceflow.seeding import Seed
from ceflow.spec import (
    Document,
    External,
    Flow,
    Gaussian,
    Kernel,
    Mlp,
    SpecError,
    Sweep,
    Train,
    Variance,
    dumps,
)
from ceflow.stages.stage import precision
from ceflow.variance import exact_moments


def mlp(key, width=8):
    return eqx.nn.MLP(3, 2, width, 1, activation=jnp.tanh, key=key)


def other(key):
    return eqx.nn.MLP(3, 2, 8, 1, activation=jnp.sin, key=key)


DATA = Gaussian(inputs=3, outputs=2, train=5, test=2)
MINE = External(name="mine")
STAGES: dict[str, Any] = {
    "ntk": Kernel(method="empirical", test_blocks=True),
    "nngp": Kernel(kind="nngp", method="empirical"),
    "mean": Kernel(method="mean", draws=2),
}
DOCUMENT = Document(data=DATA, model=MINE, stages=STAGES)
ONE = Document(data=DATA, model=MINE, stages={"nngp": STAGES["nngp"]})


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return ceflow.run(DOCUMENT, tmp_path_factory.mktemp("own") / "run", modules={"mine": mlp})


def drawn(stage, index=0):
    return mlp(Seed(0).fold("stages").fold(stage).fold(index).jax())


def test_kernels_are_those_of_the_modules_that_are_drawn(run):
    plan = ceflow.compile(DOCUMENT, modules={"mine": mlp})
    with precision(plan):
        x = ceflow.data.load(DATA, plan.folder, Seed(0).fold("data")).train.x
        ntk = empirical_ntk(drawn("ntk"), x, trace=True) / 2
        nngp = empirical_nngp(drawn("nngp"), x)
        several = [empirical_ntk(drawn("mean", i), x, trace=True) / 2 for i in range(2)]
    # the same sums in another order
    np.testing.assert_allclose(run.array("ntk"), ntk, rtol=1e-12)
    np.testing.assert_allclose(run.array("nngp"), nngp, rtol=1e-12)
    np.testing.assert_allclose(run.array("mean"), np.mean(several, axis=0), rtol=1e-12)


def test_flows_of_every_engine_are_of_the_module(tmp_path):
    def make(key):
        return eqx.nn.Linear(3, 2, key=key)

    # Of a linear module all engines follow the same flow, that of its constant NTK x.x' + 1.
    stages: dict[str, Any] = {
        engine: Flow(time=0.2, points=1, engine=engine, **keys)
        for engine, keys in [
            ("parameters", {"rtol": 1e-8, "solver": "tsit5"}),
            ("linearised", {"rtol": 1e-8, "solver": "tsit5"}),
            ("closed-form", {}),
        ]
    }
    document = Document(data=DATA, model=MINE, stages=stages)
    found = ceflow.run(document, tmp_path / "run", modules={"mine": make}).results
    plan = ceflow.compile(document, modules={"mine": make})
    with precision(plan):
        train = ceflow.data.load(DATA, plan.folder, Seed(0).fold("data")).train
        decay = jax.scipy.linalg.expm(-0.2 * (train.x @ train.x.T + 1))
        for engine in stages:
            module = make(Seed(0).fold("stages").fold(engine).fold(0).jax())
            left = decay @ (jax.vmap(module)(jnp.asarray(train.x)) - train.y)
            loss = float(jnp.sum(left**2)) / 2
            assert found[engine].train_loss == pytest.approx(loss, rel=1e-6), engine


def test_a_report_needs_no_module(run, tmp_path):
    shown = CliRunner().invoke(main, ["show", str(run.path)])
    assert shown.exit_code == 0
    assert "50 parameters, 80 FLOPs" in shown.output
    assert ceflow.open(run.path).results["ntk"].shape == [5, 5]
    page = CliRunner().invoke(main, ["page", str(run.path)])
    assert page.exit_code == 0


def copied(run, tmp_path):
    return shutil.copytree(run.path, tmp_path / "run")


def test_a_run_goes_on_with_a_module_that_computes_the_same(run, tmp_path):
    path, events = copied(run, tmp_path), []
    state = json.loads((path / "run.json").read_text())
    state["state"] = "interrupted"
    state["stages"].pop("nngp")
    (path / "run.json").write_text(json.dumps(state))

    def again(key):
        """Another function that makes the same."""
        return mlp(key)

    ceflow.run(DOCUMENT, path, modules={"mine": again}, observe=events.append)
    names = [(each.stage, each.seconds is None) for each in events if hasattr(each, "seconds")]
    assert names == [("ntk", True), ("nngp", False), ("mean", True)]
    np.testing.assert_array_equal(ceflow.open(path).array("nngp"), run.array("nngp"))


@pytest.mark.parametrize("make", [other, lambda key: mlp(jax.random.fold_in(key, 0))])
def test_nothing_is_kept_of_another_module(run, tmp_path, make):
    path = copied(run, tmp_path)
    before = (path / "run.json").read_bytes()
    with pytest.raises(SpecError, match="a module of its model computes something else"):
        ceflow.run(DOCUMENT, path, modules={"mine": make})
    assert (path / "run.json").read_bytes() == before


def test_weights_read_into_another_module_are_told(tmp_path):
    """The module that was trained gives no warning, which here would be an error."""
    stage = Train(steps=2, learning_rate=0.1)
    document = DOCUMENT.replaced({"stages": {"train": stage}})
    run = ceflow.run(document, tmp_path / "run", modules={"mine": mlp})
    run.network(modules={"mine": mlp})
    assert trained(run.path, modules={"mine": mlp}).changed == ()
    with pytest.warns(UserWarning, match="the module 'mine' computes something else"):
        run.network(modules={"mine": other})


def test_a_module_that_fails_leaves_nothing(tmp_path):
    with pytest.raises(SpecError, match=r"failed on an example of shape \(3,\)"):
        ceflow.run(
            ONE, tmp_path / "run", modules={"mine": lambda key: eqx.nn.Linear(4, 2, key=key)}
        )
    assert not (tmp_path / "run").exists()


def test_a_damaged_record_of_modules_is_told(run, tmp_path):
    path = copied(run, tmp_path)
    state = json.loads((path / "run.json").read_text()) | {"modules": [{"name": "mine"}]}
    (path / "run.json").write_text(json.dumps(state))
    with pytest.raises(SpecError, match="it does not have the facts of the modules"):
        ceflow.open(path)


def test_a_sweep_goes_over_names_and_widths(tmp_path):
    swept: dict[str, Any] = {"model.name": ["mine", "other"]}
    sweep = Sweep(**swept)
    document = ONE.model_copy(update={"sweep": sweep})
    modules = {"mine": mlp, "other": other}
    run = ceflow.run(document, tmp_path / "run", modules=modules)
    first, second = (run.array(f"name={name}/nngp") for name in ("mine", "other"))
    assert not np.allclose(first, second)
    assert len(ceflow.open(tmp_path / "run").results) == 2
    with pytest.raises(SpecError, match="no module is bound to the name 'other'"):
        ceflow.run(document, tmp_path / "none", modules={"mine": mlp})
    with pytest.raises(SpecError, match="a module of its model computes something else"):
        ceflow.run(document, tmp_path / "run", modules=modules | {"other": mlp})


def test_weights_of_a_file_are_one_network(tmp_path):
    with jax.enable_x64(True):
        given = mlp(jax.random.key(8))
    eqx.tree_serialise_leaves(tmp_path / "w.eqx", given)
    model = External(name="mine", weights="w.eqx")
    path = tmp_path / "spec.toml"
    path.write_text(dumps(ONE.model_copy(update={"model": model})))
    run = ceflow.run(ceflow.load(path), tmp_path / "run", modules={"mine": mlp})
    assert run.document is not None
    plan = ceflow.compile(run.document, modules={"mine": mlp})
    with precision(plan):
        x = ceflow.data.load(DATA, plan.folder, Seed(0).fold("data")).train.x
        np.testing.assert_allclose(run.array("nngp"), empirical_nngp(given, x), rtol=1e-12)


def test_the_variance_of_a_module_of_any_width_is_that_of_the_network_it_is(tmp_path):
    def layers(width):
        return Mlp(widths=[width], inputs=3, outputs=2)

    def make(key, width):
        return ceflow.compile(Document(model=layers(width))).module(key)

    model = External(name="mine", width=24, inputs=3)
    stage = Variance(ratios=[0.5, 1.0], draws=2000)
    document = Document(model=model, stages={"alpha": stage})
    found = ceflow.run(document, tmp_path / "run", modules={"mine": make}).results["alpha"]
    assert found.method == "monte-carlo"
    for point, width in zip(found.points, (12, 24), strict=True):
        exact = exact_moments(layers(width))
        assert (point.widths, point.fan_in_sum) == ([width], 1 / width)
        # beyond 4 standard errors once in 16,000 tests
        assert abs(point.moment_ratio - exact.ratio) < 4 * point.moment_ratio_stderr


FAMILIES = {
    "no width": (External(name="mine"), Variance(), "one of no family of other widths"),
    "weights": (External(name="mine", width=3, weights="w.eqx"), Variance(), "none are drawn"),
    "search": (External(name="mine"), ceflow.spec.Search(alpha=3.0), "one of no family"),
}


@pytest.mark.parametrize("case", FAMILIES)
def test_stages_about_widths_refuse_a_module_without_them(case):
    model, stage, message = FAMILIES[case]
    faults = Document(model=model, stages={"one": stage}).faults()
    assert [message in fault.message for fault in faults] == [True]


SEVERAL = {
    "mean": Kernel(method="mean", draws=2),
    "kernel": Kernel(method="empirical", draws=2),
    "flow": Flow(time=1.0, replicas=2),
}


@pytest.mark.parametrize("stage", SEVERAL)
def test_several_networks_are_not_drawn_where_there_is_one(stage):
    model = External(name="mine", weights="w.eqx")
    faults = Document(data=DATA, model=model, stages={stage: SEVERAL[stage]}).faults()
    assert ["so that there is one network" in fault.message for fault in faults] == [True]


REFUSED = {
    "analytic": (Kernel(), "no known limit"),
    "verify": (ceflow.spec.Verify(claims=["lemma-1"]), "about ensembles"),
}


@pytest.mark.parametrize("stage", REFUSED)
def test_stages_that_need_layers_refuse_a_module_in_a_sentence(stage):
    spec, message = REFUSED[stage]
    faults = Document(data=DATA, model=MINE, stages={"one": spec}).faults()
    assert [message in fault.message for fault in faults] == [True]


NETS = """
import equinox, jax
class Makers:
    make = staticmethod(lambda key: equinox.nn.MLP(3, 2, 8, 1, jax.numpy.tanh, key=key))
number = 3
"""
BOUND = {
    "own.nets:Makers.make": None,
    "own.nets:number": "bound to a int, and not to a function",
    "own.nets:none": "own.nets has no none, which --module names",
    "own.absent:make": "own.absent cannot be imported: ModuleNotFoundError: No module named",
    "own.broken:make": "own.broken cannot be imported: ZeroDivisionError: division by zero",
    "own.nets": "is not written as NAME=package.module:make",
    "own/nets.py:make": "write --module mine=own.nets:make",
}


@pytest.mark.parametrize("path", BOUND)
def test_the_command_line_binds_names(path, tmp_path, monkeypatch):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "nets.py").write_text(NETS)
    (tmp_path / "own" / "broken.py").write_text("1 / 0")
    (tmp_path / "spec.toml").write_text(dumps(ONE))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    for name in [name for name in sys.modules if name.partition(".")[0] == "own"]:
        monkeypatch.delitem(sys.modules, name)
    for command in ("check", "plan"):
        shown = CliRunner().invoke(main, [command, "spec.toml", "--module", f"mine={path}"])
        wrong = BOUND[path]
        if wrong is None:
            assert shown.exit_code == 0
            assert {"check": "spec.toml: ok", "plan": "50 parameters"}[command] in shown.output
        else:
            assert shown.exit_code == 2
            assert shown.output.count(wrong) == 1
    assert not (tmp_path / "runs").exists()

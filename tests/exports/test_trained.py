"""Networks that runs have trained, exported with their weights: they compute what the run did."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from click.testing import CliRunner
from numpy.testing import assert_allclose

import ceflow
from ceflow.cli import main
from ceflow.compiler import Plan, compile
from ceflow.exports import timm_line
from ceflow.exports.state_dict import state_dict
from ceflow.spec import Document, Network, Resnext

PEER = Path(__file__).parents[2] / "benchmarks" / "peers" / "timm_weights.py"
VARIABLE = "CEFLOW_PEER_TIMM"
NAMES = Path(__file__).with_name("timm_names.txt").read_text("utf-8").splitlines()
"""Lines that `timm_weights.py names` prints for the lines of timm of these models."""

ENSEMBLE = """
data = {source = "gaussian", inputs = 4, outputs = 2, train = 6, test = 3}

[model]
type = "ensemble"
multiplicity = 3
member = {widths = [5, 4], activation = "tanh", bias_variance = 0.2}

[stages.kernel]
type = "kernel"
method = "empirical"

[stages.train]
type = "train"
steps = 5
batch = 2
learning_rate = 0.05
replicas = 2

[stages.straight]
type = "train"
engine = "linearised"
steps = 1
learning_rate = 0.05
"""
RESNEXT = """
precision = "float32"
data = {source = "digits", train = 30, test = 10}

[model]
type = "resnext"
blocks = [1, 1]
cardinality = 2
base_width = 4

[stages.train]
type = "train"
steps = 4
batch = 10
loss = "cross-entropy"
reduction = "mean"
learning_rate = 0.05
average = 0.5
"""


@pytest.fixture(scope="module")
def ensemble(tmp_path_factory):
    """The directory of a run."""
    return ran(ENSEMBLE, tmp_path_factory.mktemp("ensemble"))


def ran(text: str, folder: Path) -> Path:
    return ceflow.run(ceflow.loads(text), folder / "run").path


def exported(run: Path, out: Path, to: str, *arguments: str) -> str:
    """Export to a file; return the notes."""
    every = [str(run), "--to", to, "--out", str(out), *arguments]
    result = CliRunner().invoke(main, ["export", *every])
    assert result.exit_code == 0, result.output
    return result.stderr


def recorded(run: Path) -> tuple[np.ndarray, np.ndarray]:
    """The examples that a training was of, and its outputs on them."""
    opened = ceflow.open(run)
    assert opened.document
    plan = compile(opened.document)
    assert opened.document.data
    from ceflow import data
    from ceflow.seeding import Seed

    rows = data.load(opened.document.data, plan.folder, Seed(opened.document.seed).fold("data"))
    x = plan.examples(np.concatenate([rows.train.x, rows.test.x]))
    return x.astype(opened.document.precision), opened.arrays["train"].predictions


@pytest.mark.parametrize("replica", [0, 1])
def test_an_equinox_file_reads_the_trained_weights(ensemble, tmp_path, monkeypatch, x64, replica):
    monkeypatch.chdir(tmp_path)
    notes = exported(
        ensemble, Path("net.py"), "equinox", "--stage", "train", "--replica", str(replica)
    )
    assert f"of replica {replica} of 2" in notes
    names: dict[str, Any] = {}
    exec(Path("net.py").read_text("utf-8"), names)
    (line,) = [line for line in names["__doc__"].splitlines() if "network = " in line]
    exec(line.strip(), names)  # as its first lines say
    x, expected = recorded(ensemble)
    # sums of at most 6 terms, in another order
    assert_allclose(jax.vmap(names["network"])(x), expected[replica], rtol=0, atol=1e-13)
    assert abs(expected[0] - expected[1]).max() > 0.01


def test_a_stablehlo_module_holds_the_trained_weights(ensemble, tmp_path, x64):
    notes = exported(ensemble, tmp_path / "net.jax", "stablehlo", "--stage", "train")
    assert "of replica 0 of 2" in notes
    call = jax.export.deserialize(bytearray((tmp_path / "net.jax").read_bytes())).call
    x, expected = recorded(ensemble)
    assert_allclose(call(x), expected[0], rtol=0, atol=1e-13)  # as above


ALONE = """
import sys
import equinox as eqx
import jax
import numpy as np
import net
made = eqx.nn.make_with_state(net.Resnext)(key=jax.random.key(0))
network, state = eqx.tree_deserialise_leaves("net.eqx", made)
network = eqx.nn.inference_mode(network)
x = np.load("x.npy")
with open("net.jax", "rb") as file:
    call = jax.export.deserialize(bytearray(file.read())).call
np.save("module.npy", call(x))
np.save("file.npy", jax.vmap(lambda x: network(x, state)[0])(x))
assert "ceflow" not in sys.modules
"""


@pytest.mark.slow
def test_a_normalised_network_is_read_without_ceflow(tmp_path):
    """The running statistics and the averages of the weights are those of the run."""
    run = ran(RESNEXT, tmp_path)
    x, expected = recorded(run)
    np.save(tmp_path / "x.npy", x)
    notes = exported(run, tmp_path / "net.py", "equinox")
    assert "averaged over steps" in notes
    exported(run, tmp_path / "net.jax", "stablehlo")
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    subprocess.run([sys.executable, "-c", ALONE], cwd=tmp_path, env=environment, check=True)
    files = ["module.npy", "file.npy"]
    if python := os.environ.get(VARIABLE):
        exported(run, tmp_path / "net.safetensors", "safetensors")
        files.append("timm.npy")
        names = [str(tmp_path / name) for name in ("net.safetensors", "x.npy", "timm.npy")]
        subprocess.run([python, str(PEER), "outputs", *names], check=True)
    for name in files:
        y = np.load(tmp_path / name)
        # float32 through some 10 layers
        assert_allclose(y, expected, rtol=0, atol=1e-5 * abs(expected).max(), err_msg=name)


def blank(plan: Plan) -> Any:
    """A module of the plan with ascending numbers as weights."""
    slots = eqx.filter_eval_shape(plan.module, jax.random.key(0))

    def numbered(leaf: Any) -> Any:
        if not isinstance(leaf, jax.ShapeDtypeStruct):
            return leaf
        return np.arange(leaf.size, dtype=leaf.dtype).reshape(leaf.shape)

    return jax.tree.map(numbered, slots)


MODELS = [
    ceflow.loads('extends = "ceflow:resnet-18"\nmodel = {outputs = 7}'),
    Document(model=Resnext(blocks=[2, 1], cardinality=3, base_width=4, outputs=5)),
    Document(model=Resnext(stem="imagenet", blocks=[1, 1, 1, 2], base_width=128, outputs=5)),
]
"""A ResNet-18, a ResNeXt and a wide ResNet."""


@pytest.mark.parametrize("index", range(3))
def test_weights_have_the_names_and_shapes_of_timm(index):
    plan = compile(MODELS[index])
    found = [
        " ".join(map(str, (index, name, *array.shape)))
        for name, array in state_dict(plan, blank(plan)).items()
    ]
    listed = [line for line in NAMES if line.startswith(f"{index} ")]
    assert sorted(found) == sorted(listed)


def test_the_line_of_a_network_is_that_of_its_layers():
    assert timm_line(compile(MODELS[0])) == 'timm.create_model("resnet18", num_classes=7)'


def basic(parameterisation: str, **dense: Any) -> Network:
    """A small ResNet of basic blocks."""
    convolution = {"type": "convolution", "channels": 64}
    half = {"type": "convolution", "channels": 128, "stride": 2}
    twice = {"type": "convolution", "channels": 128}
    straight = [{**half, "kernel": 1}, "batch-norm"]
    layers: Any = [
        *(convolution, "batch-norm", "relu"),
        {
            "type": "residual",
            "body": [convolution, "batch-norm", "relu", convolution, "batch-norm"],
        },
        "relu",
        {
            "type": "residual",
            "body": [half, "batch-norm", "relu", twice, "batch-norm"],
            "shortcut": straight,
        },
        *("relu", "global-average", {"type": "dropout", "rate": 0.1}),
        {"type": "dense", "units": 3, **dense},
    ]
    given: Any = {"parameterisation": parameterisation}
    return Network(layers=layers, inputs=(3, 4, 4), **given)


def test_factors_of_the_ntk_parameterisation_are_in_the_weights(x64):
    """The weights in a network without factors compute the same."""
    ntk, standard = (
        compile(Document(model=basic(each, bias_variance=0.3))) for each in ("ntk", "standard")
    )
    module: Any = ntk.module(jax.random.key(0, impl="unsafe_rbg"))
    arrays = {
        name: array
        for name, array in state_dict(ntk, module).items()
        if name.endswith(("weight", "bias"))
    }
    plain: Any = standard.module(jax.random.key(1, impl="unsafe_rbg"))
    weights, structure = jax.tree.flatten(eqx.filter(plain.module, eqx.is_inexact_array))
    new = [jnp.asarray(array) for _, array in zip(weights, arrays.values(), strict=True)]
    rest = eqx.filter(plain.module, eqx.is_inexact_array, inverse=True)
    filled = eqx.combine(jax.tree.unflatten(structure, new), rest)
    plain = eqx.tree_at(lambda each: each.module, plain, filled)
    x = jax.random.normal(jax.random.key(2, impl="unsafe_rbg"), (3, 4, 4))
    expected = module(x)
    assert abs(expected).max() > 0.01
    assert_allclose(plain(x), expected, rtol=1e-11)  # a dozen layers of sums of 1152 terms


def test_a_last_layer_without_biases_has_zeros():
    plan = compile(Document(model=basic("standard")))
    assert list(state_dict(plan, blank(plan))["fc.bias"]) == [0, 0, 0]


def refused(*arguments: str) -> str:
    result = CliRunner().invoke(main, ["export", *arguments])
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert result.stdout == ""
    return result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "2 stages of the run train networks: train, straight"),
        (["--stage", "trian"], "the run has no stage 'trian'"),
        (["--stage", "kernel"], "the stage 'kernel' is of type kernel, and trains no network"),
        (["--stage", "straight"], "trained the linearised network"),
        (["--stage", "train", "--replica", "2"], "no replica 2; there are 2, from 0"),
        (["--stage", "train", "--replica", "-1"], "no replica -1"),
        (["--stage", "train", "--set", "seed=2"], "--set: the network of a run is as it was"),
        (["--stage", "train", "--to", "safetensors"], "type ensemble has none"),
        (["--stage", "train", "--to", "timm"], "an export to timm contains no weights"),
        (["--stage", "train", "--to", "equinox"], "give --out FILE.py"),
    ],
)
def test_what_cannot_be_exported_of_a_run_is_said(ensemble, arguments, message):
    assert message in refused(str(ensemble), "--to", "stablehlo", *arguments)


def test_of_a_network_that_timm_has_not_it_says_which_formats_hold_its_weights(ensemble):
    said = refused(str(ensemble), "--to", "safetensors", "--stage", "train")
    assert "safetensors hold weights by the names of timm's ResNet, and type ensemble has" in said
    help = "export it to equinox, which writes the weights to a file beside it, or to stablehlo"
    assert help in said


def test_a_run_that_was_changed_or_stopped_is_refused(ensemble, tmp_path):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", str(ensemble), str(copy)], check=True)
    weights = copy / "models" / "train.eqx"
    weights.write_bytes(weights.read_bytes()[:-8] + bytes(8))
    message = refused(str(copy), "--to", "stablehlo", "--stage", "train")
    assert "the stage 'train' is not done: models/train.eqx was changed" in message
    state = json.loads((copy / "run.json").read_text("utf-8"))
    state["stages"].pop("train")
    (copy / "run.json").write_text(json.dumps(state | {"state": "interrupted"}), "utf-8")
    message = refused(str(copy), "--to", "stablehlo", "--stage", "train")
    assert "is not done" in message
    assert f"again with --out {copy}" in message


def test_options_of_a_run_are_not_for_a_document_without_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("net.toml").write_text('model = {type = "mlp", widths = [3], inputs = 2, outputs = 1}')
    assert "--stage: is of a run" in refused("net.toml", "--to", "stablehlo", "--stage", "a")
    message = refused("net.toml", "--to", "safetensors")
    assert "an export to safetensors is of weights, and a document has none" in message


SWEPT = """
data = {source = "gaussian", inputs = 2, train = 3}
model = {type = "mlp", widths = [3]}
stages = {train = {type = "train", steps = 1, learning_rate = 0.1}}
sweep = {"seed" = [0, 1]}
"""


@pytest.mark.slow
def test_one_run_of_a_sweep_is_named(tmp_path):
    run = ran(SWEPT, tmp_path)
    assert f"name one of them, as {run / 'seed=0'}" in refused(str(run), "--to", "stablehlo")
    exported(run / "seed=1", tmp_path / "net.mlir", "stablehlo")

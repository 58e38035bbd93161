"""What a run keeps of its trainings, read in Python: networks, examples, and how they were made."""

import json
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import ceflow
from ceflow.spec import SpecError

TEXT = """
precision = "float32"

[data]
source = "npz"
path = "numbers.npz"
targets = "raw"
normalise = "standard"
scale = 0.5

[model]
type = "mlp"
widths = [6]

[stages.train]
type = "train"
steps = 5
batch = 4
learning_rate = 0.05
replicas = 2

[stages.kernel]
type = "kernel"
"""
TOLERANCE = 1e-6  # sums of at most 6 float32 numbers about 1, in another order


def numbers(folder: Path, count: int = 12) -> dict[str, np.ndarray]:
    """Save examples, whose first column is constant."""
    rng = np.random.default_rng(0)
    x = rng.normal(3.0, [0.0, 2.0, 1e-3], (count, 3))
    arrays: dict[str, Any] = {"x": x, "y": x[:, 1:], "x_test": 2 * x[:3], "y_test": x[:3, 1:]}
    np.savez(folder / "numbers.npz", **arrays)
    return arrays


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run, and the arrays of its data."""
    folder = tmp_path_factory.mktemp("kept")
    arrays = numbers(folder)
    (folder / "spec.toml").write_text(TEXT)
    return ceflow.run(ceflow.load(folder / "spec.toml"), folder / "run"), arrays


def outputs(network: Any, run: ceflow.Run) -> Any:
    found = run.data()
    return jax.vmap(network)(np.concatenate([found.train.x, found.test.x]))


@pytest.mark.parametrize("replica", [0, 1])
def test_a_trained_network_has_the_outputs_of_the_run(made, replica):
    run, _ = made
    opened = ceflow.open(run.path)
    found = outputs(opened.network("train", replica), opened)
    assert_allclose(found, run.arrays["train"].predictions[replica], rtol=0, atol=TOLERANCE)


def test_all_replicas_are_stacked(made):
    run, _ = made
    every = run.network(replica=None)
    found = eqx.filter_vmap(outputs, in_axes=(eqx.if_array(0), None))(every, run)
    assert_allclose(found, run.arrays["train"].predictions, rtol=0, atol=TOLERANCE)


def test_the_examples_are_those_that_the_stages_saw(made):
    """By the definition of normalise and scale, from the numbers of the file."""
    run, arrays = made
    mean, deviation = arrays["x"].mean(0), arrays["x"].std(0)
    found = run.data()
    assert found.train.x.dtype == found.test.y.dtype == np.float32
    for part, x in ((found.train, arrays["x"]), (found.test, arrays["x_test"])):
        expected = 0.5 * (x - mean)[:, 1:] / deviation[1:]
        assert_allclose(part.x[:, 1:], expected, rtol=1e-5, atol=1e-6)  # of float32
    assert_array_equal(found.train.x[:, 0], 0)
    assert_array_equal(found.test.y, arrays["y_test"].astype("float32"))


def test_a_file_says_how_inputs_were_prepared(made):
    """It gives elsewhere what the run had; the constant column is not divided."""
    run, arrays = made
    name = run.results["train"].inputs
    said = json.loads((run.path / name).read_text("utf-8"))
    assert (name, said["unit"], said["scale"]) == ("models/train.inputs.json", 1, 0.5)
    assert (said["source"], said["shape"], said["classes"]) == ("npz", [3], [])
    x = said["scale"] * (arrays["x_test"] / said["unit"] - said["mean"]) / said["deviation"]
    assert_allclose(x, run.data().test.x, rtol=1e-6, atol=1e-6)  # of float32
    assert said["deviation"][0] == 1


def test_it_names_the_classes_and_the_unit(tmp_path):
    numbers = 'source = "npz"\npath = "numbers.npz"\ntargets = "raw"'
    text = TEXT.replace(numbers, 'source = "digits"')
    text = text.replace("scale = 0.5", 'classes = ["7", "1"]\ntrain = 30\ntest = 4')
    run = ceflow.run(ceflow.loads(text), tmp_path / "run")
    said = json.loads((run.path / "models/train.inputs.json").read_text("utf-8"))
    assert (said["classes"], said["unit"], said["shape"]) == (["7", "1"], 16, [1, 8, 8])
    assert len(said["mean"]) == 64
    (run.path / "models/train.inputs.json").unlink()  # a file of the stage as others
    again = ceflow.run(ceflow.loads(text), tmp_path / "run")
    assert (again.path / "models/train.inputs.json").exists()


def test_in_a_sweep_both_are_named_by_the_run(tmp_path):
    numbers(tmp_path)
    text = TEXT.replace("replicas = 2", "") + "\n[sweep]\nseed = [1, 2]\n"
    (tmp_path / "spec.toml").write_text(text)
    run = ceflow.run(ceflow.load(tmp_path / "spec.toml"), tmp_path / "run")
    x = run.data("seed=2").train.x
    found = jax.vmap(run.network("seed=2/train"))(x)
    expected = run.arrays["seed=2/train"].predictions
    assert_allclose(found, expected[: len(x)], rtol=0, atol=TOLERANCE)
    (stacked,) = jax.tree.leaves(eqx.filter(run.network("seed=2/train", None), eqx.is_array))[:1]
    assert len(stacked) == 1
    with pytest.raises(KeyError, match="there is no run ''; RUN is one of seed=1, seed=2"):
        run.data()
    with pytest.raises(KeyError, match="there is no run 'seed=3'"):
        run.network("seed=3/train")


def test_what_there_is_not_is_a_sentence(made, tmp_path):
    run, _ = made
    with pytest.raises(ValueError, match=r"has no replica 2; there are 2, from 0"):
        run.network("train", 2)
    with pytest.raises(SpecError, match="is of type kernel, and trains no network"):
        run.network("kernel")
    with pytest.raises(KeyError, match="there is no run 'a'; this is one run"):
        run.network("a/train")


def test_data_that_have_changed_are_not_those_of_the_run(tmp_path):
    numbers(tmp_path)
    (tmp_path / "spec.toml").write_text(TEXT)
    run = ceflow.run(ceflow.load(tmp_path / "spec.toml"), tmp_path / "run")
    numbers(tmp_path, 13)
    with pytest.raises(ValueError, match="have changed since the run"):
        run.data()
    (tmp_path / "numbers.npz").unlink()
    with pytest.raises(SpecError):
        run.data()

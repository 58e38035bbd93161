"""Kernels that a stage keeps of test examples too."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ceflow
from ceflow import data, kernels
from ceflow.seeding import Seed
from ceflow.spec import SpecError

TRAIN, TEST, OUTPUTS = 7, 4, 2
TEXT = f"""
[data]
source = "gaussian"
inputs = 3
outputs = {OUTPUTS}
train = {TRAIN}
test = {TEST}
[model]
type = "mlp"
widths = [9]
activation = "erf"
"""
STAGES = {
    "limit": "",
    "tiles": "tile = 3",
    "drawn": 'method = "empirical"',
    "drawn-tiles": 'method = "empirical"\ntile = 3',
    "full": 'method = "empirical"\noutputs = "full"',
    "mean": 'method = "mean"\ndraws = 3',
}
BLOCKS = {"test_train": (slice(TRAIN, None), slice(TRAIN)), "test": (slice(TRAIN, None),) * 2}


def kernel_stage(name: str, more: str) -> str:
    return f'\n[stages.{name}]\ntype = "kernel"\ntest_blocks = true\n{more}\n'


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> ceflow.Run:
    text = TEXT + "".join(kernel_stage(name, more) for name, more in STAGES.items())
    text += '[stages.flow]\ntype = "flow"\nkernel = "limit"\ntime = 0.5\npoints = 2'
    return ceflow.run(ceflow.loads(text), tmp_path_factory.mktemp("kept") / "run")


def whole(name: str) -> np.ndarray:
    """The kernel of a stage over training and test examples, by the library."""
    plan = ceflow.compile(ceflow.loads(TEXT))
    assert plan.document.data is not None
    rows = data.load(plan.document.data, Path(), Seed(0).fold("data"))
    x, seed = np.concatenate([rows.train.x, rows.test.x]), Seed(0).fold("stages").fold(name)

    def draw(key: Any) -> Any:
        module = plan.module(key)
        if name == "full":
            return kernels.empirical_ntk(module, x)
        return kernels.empirical_ntk(module, x, trace=True) / OUTPUTS

    if name in ("limit", "tiles"):
        return np.asarray(kernels.analytic(plan.model, x).ntk)
    if name == "mean":
        return kernels.mean_kernel(draw, seed, draws=3).mean
    return np.asarray(draw(seed.fold(0).jax()))


@pytest.mark.parametrize("name", STAGES)
def test_blocks_of_test_examples_are_those_of_the_same_kernel(kept, name, x64):
    expected = whole(name)
    np.testing.assert_allclose(kept.array(name), expected[:TRAIN, :TRAIN], rtol=1e-10)
    for block, (rows, columns) in BLOCKS.items():
        found = kept.array(f"{name}.{block}")
        np.testing.assert_allclose(found, expected[rows, columns], rtol=1e-10)
        assert kept.results[name][block] == f"arrays/{name}.{block}.zarr"


def reading(path: Path, more: str = "", text: str = TEXT) -> ceflow.Document:
    return ceflow.loads(text + kernel_stage("k", f'from = "{path}"\n{more}'))


@pytest.mark.parametrize("name", ["limit", "tiles"])
def test_what_needs_test_rows_takes_them_from_the_file(kept, name, tmp_path):
    more = 'ridge = 0.1\n[stages.flow]\ntype = "flow"\nkernel = "k"\ntime = 0.5\npoints = 2'
    run = ceflow.run(reading(kept.path / f"arrays/{name}.zarr", more), tmp_path / "run")
    found, flow = run.results["k"], run.results["flow"]
    assert not [*found.warnings, *flow.warnings]
    limit = whole("limit")
    plan = ceflow.compile(ceflow.loads(TEXT))
    assert plan.document.data is not None
    rows = data.load(plan.document.data, Path(), Seed(0).fold("data"))
    ridge = 0.1 * limit[:TRAIN, :TRAIN].trace() / TRAIN * np.eye(TRAIN)
    weights = np.linalg.solve(limit[:TRAIN, :TRAIN] + ridge, rows.train.y)
    errors = limit[TRAIN:, :TRAIN] @ weights - rows.test.y
    assert found.test_mse == pytest.approx(np.square(errors).mean(), rel=1e-6)
    assert flow.test_loss == pytest.approx(kept.results["flow"].test_loss, rel=1e-9)
    for block in BLOCKS:
        np.testing.assert_array_equal(run.array(f"k.{block}"), kept.array(f"{name}.{block}"))


def without(block: str) -> Any:
    def change(folder: Path) -> str:
        shutil.rmtree(folder / f"limit.{block}.zarr")
        return TEXT

    return change


BEFORE = {
    "no rows": (without("test_train"), "CE301", "limit.test_train.zarr is missing"),
    "no square": (without("test"), "CE301", "limit.test.zarr is missing"),
    "fewer rows": (
        lambda folder: TEXT.replace("test = 4", "test = 3"),
        "CE302",
        "is 4 x 7, and the test examples need 3 x 7",
    ),
    "no test examples": (
        lambda folder: TEXT.replace("test = 4", ""),
        "CE202",
        "there are no test examples",
    ),
}


@pytest.mark.parametrize("case", BEFORE)
def test_blocks_that_are_not_there_are_a_fault_beforehand(kept, case, tmp_path):
    change, code, words = BEFORE[case]
    folder = shutil.copytree(kept.path / "arrays", tmp_path / "arrays")
    text = change(folder)
    with pytest.raises(SpecError) as raised:
        ceflow.run(reading(folder / "limit.zarr", text=text), tmp_path / "run")
    (fault,) = raised.value.faults
    assert (fault.code, fault.path) == (code, ("stages", "k", "test_blocks"))
    assert words in fault.message
    assert fault.help


@pytest.mark.parametrize(("key", "value"), [("test", "0"), ("method", "mean")])
def test_blocks_of_other_examples_or_another_kernel_end_the_stage(kept, key, value, tmp_path):
    folder = shutil.copytree(kept.path / "arrays", tmp_path / "arrays")
    file = folder / "limit.test.zarr/zarr.json"
    found = json.loads(file.read_text())
    found["attributes"]["ceflow"][key] = value
    file.write_text(json.dumps(found))
    with pytest.raises(ceflow.RunError, match="of other test inputs than those"):
        ceflow.run(reading(folder / "limit.zarr"), tmp_path / "run")


def test_test_rows_are_written_by_parts(tmp_path, monkeypatch, x64):
    """The rows of large test sets are not in memory at once."""
    monkeypatch.setattr("ceflow.stages.kernel.keeping.TEST_ROWS", 3)
    text = TEXT + kernel_stage("tiles", "tile = 3\nridge = 0.1")
    parts = ceflow.run(ceflow.loads(text), tmp_path / "parts")
    expected = whole("limit")[TRAIN:, :TRAIN]
    np.testing.assert_allclose(parts.array("tiles.test_train"), expected, rtol=1e-10)

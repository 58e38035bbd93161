"""Kernel stages that read a kernel which was computed before."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ceflow
from ceflow.runs.prepared import forecast
from ceflow.spec import Document, Gaussian, Kernel, Mlp, SpecError

DATA = """
seed = {seed}
[data]
source = "gaussian"
inputs = 3
outputs = 2
train = {train}
test = 4
"""
MODEL = """
[model]
type = "mlp"
widths = {widths}
activation = "erf"
"""
MEASURES = "spectrum = true\nalignment = true\nridge = 0.1"
COMPUTED = f"""
[stages.dense]
type = "kernel"
{MEASURES}
[stages.tiled]
type = "kernel"
tile = 4
[stages.drawn]
type = "kernel"
method = "empirical"
[stages.full]
type = "kernel"
method = "empirical"
outputs = "full"
[stages.nngp]
type = "kernel"
kind = "nngp"
"""
OF_TRAINING = (
    *("trace", "eigenvalue_max", "eigenvalue_min", "condition"),
    *("alignment", "alignment_centred", "train_mse", "quadrature_error"),
)
ROWS = 10


def text_of(stages: str, seed: int = 0, train: int = ROWS, widths: str = "[20]") -> str:
    return DATA.format(seed=seed, train=train) + MODEL.format(widths=widths) + stages


def reading(path: Path | str, more: str = "", **given: Any) -> Document:
    return ceflow.loads(text_of(f'[stages.k]\ntype = "kernel"\nfrom = "{path}"\n{more}', **given))


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> ceflow.Run:
    return ceflow.run(ceflow.loads(text_of(COMPUTED)), tmp_path_factory.mktemp("kept") / "run")


@pytest.mark.parametrize("name", ["dense", "tiled"])
def test_all_is_measured_of_a_kept_kernel_as_where_it_was_computed(kept, name, tmp_path):
    source = shutil.copytree(kept.path / f"arrays/{name}.zarr", tmp_path / "k.zarr")
    more = f'{MEASURES}\n[stages.other]\ntype = "kernel"\nreference = "k"'
    run = ceflow.run(reading(source, more), tmp_path / "run")
    shutil.rmtree(source)  # the run has its own
    np.testing.assert_array_equal(run.array("k"), kept.array("dense"))
    for key in OF_TRAINING:
        assert run.results["k"][key] == pytest.approx(kept.results["dense"][key], rel=1e-9)
    assert run.results["other"]["distance"] == 0
    assert (run.results["k"].method, run.results["k"].file) == ("analytic", str(source))
    (said,) = run.results["k"].warnings
    assert "the regression has no test errors" in said


@pytest.mark.parametrize("save", [np.save, np.savez])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64])
def test_arrays_of_other_programs_are_read_with_a_warning(kept, save, dtype, tmp_path):
    path = tmp_path / ("k.npy" if save is np.save else "k.npz")
    matrix = np.round(100 * kept.array("dense")).astype(dtype)
    save(path, matrix)
    run = ceflow.run(reading(path), tmp_path / "run")
    read = run.array("k")
    assert read.dtype == np.promote_types(dtype, np.float64 if dtype is np.int64 else np.float32)
    np.testing.assert_array_equal(read, matrix)
    assert run.results["k"].method == "unknown"
    assert any("nothing tells of which inputs" in said for said in run.results["k"].warnings)
    # what no one told is not told of its copy either
    again = ceflow.run(reading(run.path / "arrays/k.zarr"), tmp_path / "again")
    assert again.results["k"].warnings != []


def saved(path: Path, matrix: np.ndarray) -> Path:
    np.save(path, matrix)
    return path


REFUSED_BEFORE = {
    "no file": (lambda run, folder: "none.zarr", "CE301", "there is no kernel at none.zarr"),
    "a run": (lambda run, folder: run.path, "CE302", "but no array of Zarr"),
    "another size": (
        lambda run, folder: saved(folder / "k.npy", np.eye(3)),
        "CE302",
        "is 3 x 3, and there are 10 training examples",
    ),
    "all outputs": (
        lambda run, folder: run.path / "arrays/full.zarr",
        "CE302",
        "more than one number per pair",
    ),
    "another kind": (
        lambda run, folder: run.path / "arrays/nngp.zarr",
        "CE302",
        "is an NNGP, not an NTK",
    ),
    "a pickle": (
        lambda run, folder: saved(folder / "k.npy", np.array([{}], dtype=object)),
        "CE302",
        "never loaded",
    ),
    "a text": (
        lambda run, folder: (folder / "k.npy").write_text("1 2") and folder / "k.npy",
        "CE302",
        "is not an array of Zarr or NumPy",
    ),
    "two arrays": (
        lambda run, folder: np.savez(folder / "k.npz", a=1, b=2) or folder / "k.npz",
        "CE302",
        "holds 2 arrays",
    ),
}


@pytest.mark.parametrize("case", REFUSED_BEFORE)
def test_a_file_that_cannot_be_it_is_a_fault_beforehand(kept, case, tmp_path):
    make, code, words = REFUSED_BEFORE[case]
    with pytest.raises(SpecError) as raised:
        ceflow.run(reading(make(kept, tmp_path)), tmp_path / "run")
    (fault,) = raised.value.faults
    assert (fault.code, fault.path) == (code, ("stages", "k", "from"))
    assert words in fault.message
    assert fault.help
    assert not (tmp_path / "run").exists()


def with_hole(run: ceflow.Run, folder: Path) -> Path:
    path = shutil.copytree(run.path / "arrays/tiled.zarr", folder / "k.zarr")
    (path / "c/0/1").unlink()
    return path


def changed(entry: tuple[int, int], value: float) -> Any:
    def make(run: ceflow.Run, folder: Path) -> Path:
        matrix = run.array("dense")
        matrix[entry] = value
        return saved(folder / "k.npy", matrix)

    return make


REFUSED = {
    "other data": (lambda run, folder: run.path / "arrays/dense.zarr", 1, "of other training in"),
    "other data, tiled": (lambda run, folder: run.path / "arrays/tiled.zarr", 1, "of other train"),
    "a tile missing": (with_hole, 0, "is not complete"),
    "no symmetry": (changed((0, 1), 9.0), 0, r"is no kernel: .* \(0, 1\) and \(1, 0\)"),
    "not finite": (changed((2, 2), np.nan), 0, "is no kernel: the kernel holds NaN"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_kernel_that_is_not_of_these_data_ends_the_stage(kept, case, tmp_path):
    make, seed, words = REFUSED[case]
    with pytest.raises(ceflow.RunError, match=words):
        ceflow.run(reading(make(kept, tmp_path), seed=seed), tmp_path / "run")


@pytest.mark.parametrize(("name", "warned"), [("dense", False), ("drawn", True)])
def test_a_kernel_of_another_network_is_a_warning(kept, name, warned, tmp_path):
    """At infinite width, networks that differ in their widths alone have the same kernel."""
    path = kept.path / f"arrays/{name}.zarr"
    run = ceflow.run(reading(path, widths="[30]"), tmp_path / "run")
    assert any("of another network" in said for said in run.results["k"].warnings) is warned


def test_a_flow_is_driven_by_a_kernel_that_was_read(kept, tmp_path):
    flow = '[stages.f]\ntype = "flow"\nkernel = "k"\ntime = 0.5\npoints = 2'
    path = kept.path / "arrays/tiled.zarr"
    read = ceflow.run(reading(path, flow), tmp_path / "read").results["f"]
    text = text_of(f'[stages.k]\ntype = "kernel"\n{flow}')
    computed = ceflow.run(ceflow.loads(text), tmp_path / "computed").results["f"]
    assert read.train_loss == pytest.approx(computed.train_loss, rel=1e-9)
    assert "test_loss" not in read
    assert any("was read without test_blocks" in said for said in read.warnings)


def test_the_warning_of_an_inaccurate_kernel_stays_with_it(tmp_path):
    text = text_of('[stages.k]\ntype = "kernel"').replace("erf", "sin")
    text = text.replace("[data]", 'precision = "float32"\n[data]\nscale = 1e5')
    first = ceflow.run(ceflow.loads(text), tmp_path / "first")
    again = ceflow.loads(text + f'\nfrom = "{first.path / "arrays/k.zarr"}"')
    said = ceflow.run(again, tmp_path / "again").results["k"].warnings
    assert sum("analytic kernel may be" in each for each in said) == 1


def test_the_path_is_relative_to_the_document(kept, tmp_path):
    np.save(tmp_path / "k.npy", kept.array("dense"))
    spec = tmp_path / "spec.toml"
    spec.write_text(text_of('[stages.k]\ntype = "kernel"\nfrom = "k.npy"'))
    run = ceflow.run(ceflow.load(spec), tmp_path / "run")
    assert f'from = "{tmp_path / "k.npy"}"' in (run.path / "resolved.toml").read_text()
    assert run.results["k"].file == "k.npy"


def test_python_writes_the_key_with_an_underscore():
    stage = Kernel(from_="k.npy")
    given: dict[str, Any] = {"from": "k.npy"}
    assert stage == Kernel(**given)
    assert stage.from_ == "k.npy"
    assert stage.model_copy(update={"from_": "other.npy"}).from_ == "other.npy"


def test_what_is_read_needs_no_memory_for_networks(tmp_path):
    """A matrix is read and checked; one in tiles never is in memory."""
    data = Gaussian(inputs=3, outputs=2, train=2000, test=0)
    matrix = 8 * 2000**2
    ceflow.kernels.write_tiles(tmp_path / "k.zarr", lambda a, b: a @ b.T, np.eye(2000), tile=1000)
    np.save(tmp_path / "k.npy", np.eye(2000))
    needs = {}
    for name in ("k.npy", "k.zarr"):
        stage = Kernel(from_=str(tmp_path / name))
        plan = ceflow.compile(Document(data=data, model=Mlp(widths=(9,)), stages={"k": stage}))
        needs[name] = forecast(plan, stage, plan.model)
    assert matrix < needs["k.npy"].memory < 3 * matrix
    assert needs["k.zarr"].memory < matrix / 10
    assert [each.disk / matrix for each in needs.values()] == [1, 0.5]

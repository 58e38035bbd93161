"""The whole spectrum of a kernel stage, with its learning curve."""

import numpy as np
import pytest

import ceflow
from ceflow import kernels
from ceflow.blocks import Curve
from ceflow.runs.prepared import forecast
from ceflow.spec import Document, Gaussian, Kernel, Mlp
from ceflow.stages import kind_of

TEXT = """
[data]
source = "npz"
path = "{path}"
targets = "raw"
[model]
type = "mlp"
widths = [inf]
[stages.k]
type = "kernel"
spectrum = "full"
ridge = 0.1
[stages.ends]
type = "kernel"
spectrum = true
[stages.tiles]
type = "kernel"
spectrum = "full"
tile = 16
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ceflow.Run:
    folder, random = tmp_path_factory.mktemp("full"), np.random.default_rng(0)
    x = random.normal(size=(50, 4))
    np.savez(folder / "a.npz", x=x[:40], y=x[:40, :1], x_test=x[40:], y_test=x[40:, :1])
    return ceflow.run(ceflow.loads(TEXT.format(path=folder / "a.npz")), folder / "run")


def test_all_eigenvalues_and_powers_are_kept(run):
    kernel, found = run.array("k"), run.results["k"]
    np.testing.assert_allclose(
        run.array("k.eigenvalues"), np.linalg.eigvalsh(kernel)[::-1], rtol=1e-9
    )
    assert run.array("k.power").shape == (40,)
    for key in ("eigenvalue_max", "eigenvalue_min", "condition"):
        assert found[key] == pytest.approx(run.results["ends"][key], rel=1e-9)


def test_columns_are_the_modes_and_the_learning_curve(run):
    columns = run.results["k"].columns()
    k = columns["k"]
    assert (k[0], k[-1]) == (1, 40)
    power = run.array("k.power")
    np.testing.assert_allclose(columns["eigenvalue"], run.array("k.eigenvalues")[k - 1])
    np.testing.assert_allclose(columns["cumulative_power"], (power.cumsum() / power.sum())[k - 1])
    modes = kernels.Modes(run.array("k.eigenvalues"), power)
    half = k <= 20
    ridge = 0.1 * run.array("k").diagonal().mean()
    expected = kernels.learning_curve(modes, k[half], ridge)
    np.testing.assert_allclose(columns["predicted_mse"][half], expected, rtol=1e-9)
    assert np.isnan(columns["predicted_mse"][~half]).all()


def test_tiles_have_the_same_spectrum_and_another_curve_without_a_ridge(run):
    one, two = run.results["k"].curve, run.results["tiles"].curve
    assert [p.eigenvalue for p in one] == pytest.approx([p.eigenvalue for p in two], rel=1e-9)
    assert one[3].predicted_mse != pytest.approx(two[3].predicted_mse, rel=0.01)


def test_three_figures_are_drawn(run):
    stage = kind_of(Kernel())
    curves = {
        block.name: block for block in stage.describe(run.results["k"]) if isinstance(block, Curve)
    }
    assert list(curves) == ["spectrum", "power", "learning"]
    assert curves["learning"].series[1].y == (run.results["k"].test_mse,)
    assert curves["learning"].series[1].x == (40.0,)
    ends = [block for block in stage.describe(run.results["ends"]) if isinstance(block, Curve)]
    assert not ends


def test_the_decomposition_is_forecast():
    data, needs = Gaussian(inputs=3, train=3000), {}
    for spectrum in (True, "full"):
        stage = Kernel(spectrum=spectrum, tile=1000)
        plan = ceflow.compile(Document(data=data, model=Mlp(widths=(9,)), stages={"k": stage}))
        needs[spectrum] = forecast(plan, stage, plan.model)
    assert 3 * 8 * 3000**2 < needs["full"].memory < 7 * 8 * 3000**2
    assert needs["full"].work.flops - needs[True].work.flops == 12 * 3000**3
    assert needs["full"].key == "data.train"

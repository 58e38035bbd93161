"""Kernel stages whose NNGP is that of drawn networks."""

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ceflow
from ceflow import kernels
from ceflow.runs.failures import RunError
from ceflow.runs.prepared import forecast
from ceflow.seeding import Seed
from ceflow.spec import Document, Ensemble, Flow, Gaussian, Kernel, Mlp
from ceflow.stages.kernel import report
from ceflow.stages.kernel.networks import without_weights

N, TESTED, OUTPUTS = 5, 2, 3
DATA = Gaussian(train=N, test=TESTED, inputs=4, outputs=OUTPUTS)
MODEL = Ensemble(multiplicity=2, member=Mlp(widths=(8, 8)))
NNGP: dict[str, Any] = {"kind": "nngp", "method": "empirical"}

ALL = Document(
    data=DATA,
    model=MODEL,
    stages={
        "limit": Kernel(kind="nngp"),
        "drawn": Kernel(**NNGP, draws=3, reference="limit", test_blocks=True, ridge=0.1),
        "full": Kernel(**NNGP, outputs="full"),
        "tiles": Kernel(**NNGP, tile=2, spectrum=True, alignment=True, test_blocks=True, ridge=0.1),
        "mean": Kernel(kind="nngp", method="mean", draws=64, reference="limit", ridge=0.1),
        "close": Kernel(kind="nngp", method="mean", error=0.3),
        "flow": Flow(kernel="mean", time=1.0, points=2),
    },
)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> ceflow.Run:
    return ceflow.run(ALL, tmp_path_factory.mktemp("nngp") / "run")


def outputs_of(name: str, index: int = 0) -> np.ndarray:
    """The outputs of the network that a stage drew, on training and test examples."""
    from ceflow import data

    found = data.load(DATA, Path(), Seed(0).fold("data"))
    key = Seed(0).fold("stages").fold(name).fold(index).jax()
    with jax.enable_x64(True):
        module: Any = ceflow.compile(ALL).module(key)
        x = jnp.asarray(np.concatenate([found.train.x, found.test.x]))
        return np.asarray(jax.jit(jax.vmap(module))(x))


@pytest.mark.parametrize("name", ["drawn", "tiles"])
def test_a_drawn_kernel_is_that_of_the_outputs_of_one_network(done: ceflow.Run, name: str):
    f = outputs_of(name)
    expected = f @ f.T / OUTPUTS
    array = kernels.open if name == "tiles" else lambda path: done.array(path.stem)
    train = array(done.path / done.results[name]["array"])[:, :]
    np.testing.assert_allclose(train, expected[:N, :N], rtol=1e-10, atol=1e-14)  # compiled apart
    rows = done.array(f"{name}.test_train")
    np.testing.assert_allclose(rows, expected[N:, :N], rtol=1e-10, atol=1e-14)
    ridge = 0.1 * np.trace(expected[:N, :N]) / N
    found = done.results[name]
    assert found["noise"] == pytest.approx(ridge, rel=1e-10)
    assert found["test_mse"] > 0


def test_all_pairs_of_outputs(done: ceflow.Run):
    f = outputs_of("full")[:N]
    expected = np.einsum("na,mb->nmab", f, f)
    np.testing.assert_allclose(done.array("full"), expected, rtol=1e-10, atol=1e-14)


def test_statistics_are_over_the_draws(done: ceflow.Run):
    each = [outputs_of("drawn", index)[:N] for index in range(3)]
    drawn = np.array([f @ f.T / OUTPUTS for f in each])
    spread = np.sqrt(drawn.var(axis=0, ddof=1).sum() / (drawn.mean(axis=0) ** 2).sum())
    assert done.results["drawn"]["spread"] == pytest.approx(spread, rel=1e-10)
    limit = done.array("limit")
    away = [np.linalg.norm(kernel - limit) / np.linalg.norm(limit) for kernel in drawn]
    assert done.results["drawn"]["distance"] == pytest.approx(np.mean(away), rel=1e-10)


def test_a_mean_is_within_its_error_of_the_limit(done: ceflow.Run):
    mean, stderr, limit = (done.array(each) for each in ("mean", "mean.stderr", "limit"))
    # Two layers of 8 units have another mean than the limit: by a few per cent of the diagonal.
    # Fifteen entries from 64 draws: six standard errors, by chance in 1e-6 of seeds.
    assert (np.abs(mean - limit) < 6 * stderr + 0.1 * limit.max()).all()
    assert stderr.max() < 0.5 * limit.max()


def test_drawing_ends_at_the_error(done: ceflow.Run):
    found = done.results["close"]
    assert 16 <= found["draws"] < 200
    assert found["error"] <= 0.3


def test_a_flow_follows_a_mean_with_its_test_rows(done: ceflow.Run):
    assert done.results["flow"]["test_loss"] > 0
    assert not done.results["flow"].warnings


def test_the_report_names_the_kernel(done: ceflow.Run):
    table = report.describe(done.results["mean"])[0]
    assert ("kernel", "mean NNGP") in table.rows  # type: ignore[union-attr]


def test_a_kernel_that_was_drawn_can_be_read_again(done: ceflow.Run, tmp_path: Path):
    path = str(done.path / "arrays/mean.zarr")
    read: dict[str, Any] = {"from": path, "kind": "nngp"}
    run = ceflow.run(Document(data=DATA, model=MODEL, stages={"k": Kernel(**read)}), tmp_path / "r")
    np.testing.assert_array_equal(run.array("k"), done.array("mean"))
    assert run.results["k"]["method"] == "mean"
    assert not run.results["k"].warnings


def test_wide_networks_are_drawn_without_weights(tmp_path: Path):
    wide = Ensemble(multiplicity=2, member=Mlp(widths=(2000, 2000)))
    data = Gaussian(train=4, inputs=4, outputs=200)
    drawn = Kernel(**NNGP, reference="limit")
    document = Document(data=data, model=wide, stages={"limit": Kernel(kind="nngp"), "k": drawn})
    assert without_weights(drawn, ceflow.compile(document), wide, 4)
    run = ceflow.run(document, tmp_path / "run")
    # sqrt((1 + tr^2/|K|^2)/outputs) is at most sqrt(5/200) = 16 %
    assert run.results["k"]["distance"] < 0.5


def test_what_is_forecast():
    def needs(stage: Kernel, model: Any = MODEL, **data: Any) -> Any:
        document = Document(data=DATA.model_copy(update=data), model=model, stages={"k": stage})
        plan = ceflow.compile(document)
        return forecast(plan, stage, plan.model)

    few, many = (needs(Kernel(**NNGP), train=train) for train in (100, 1000))
    assert many.memory > 50 * few.memory
    assert many.work.flops > 10 * few.work.flops
    # no features of 1000 examples, as an NTK has
    assert many.memory < needs(Kernel(method="empirical"), train=1000).memory
    # a standard error of 1/sqrt(draws outputs)
    drawn = [
        needs(Kernel(kind="nngp", method="mean", error=error), outputs=outputs).work
        for error, outputs in ((0.1, 3), (0.05, 3), (0.05, 300))
    ]
    assert drawn[1].normals == pytest.approx(4 * drawn[0].normals)
    assert drawn[2].seconds < drawn[1].seconds


def test_outputs_that_overflow_are_told(tmp_path: Path):
    tiles = Document(
        precision="float32",
        data=Gaussian(train=4, inputs=4, scale=1e35),
        model=Mlp(widths=(8,), weight_variance=1e12),
        stages={"k": Kernel(**NNGP, tile=2)},
    )
    with pytest.raises(RunError, match="outputs of the network are NaN or infinity"):
        ceflow.run(tiles, tmp_path / "run")

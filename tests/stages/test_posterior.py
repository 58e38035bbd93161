"""The posterior of a kernel stage with a ridge, and its scores."""

import math
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import scipy.stats

import ceflow
from ceflow import data, kernels
from ceflow.blocks import Curve, Table
from ceflow.kernels import Predictive
from ceflow.runs.prepared import forecast
from ceflow.seeding import Seed
from ceflow.spec import Digits, Document, Flow, Gaussian, Kernel, Mlp, Npz
from ceflow.stages import KINDS

INFINITE = Mlp(widths=(math.inf,), activation="erf")
FINITE = Mlp(widths=(30,))
NUMBERS = Gaussian(train=8, test=5, inputs=3, outputs=2)
RIDGE = 0.01


def document(stages: dict[str, Any], source: Any = NUMBERS, model: Any = INFINITE) -> Document:
    return Document(data=source, model=model, stages=stages)


def examples(source: Any) -> data.Dataset:
    return data.load(source, Path(), Seed(0).fold("data"))


def expected(kind: Any, source: Any) -> tuple[np.ndarray, np.ndarray, float]:
    """Mean, variance without noise, and noise, from the kernel over all examples."""
    found = examples(source)
    n = len(found.train.x)
    with jax.enable_x64(True):
        x = np.concatenate([found.train.x, found.test.x])
        whole = np.asarray(kernels.block_kernel(INFINITE, kind)(x))
    noise = RIDGE * np.trace(whole[:n, :n]) / n
    weights = np.linalg.solve(whole[:n, :n] + noise * np.eye(n), whole[:n, n:]).T
    variance = np.diag(whole[n:, n:]) - (weights * whole[n:, :n]).sum(axis=1)
    return weights @ found.train.y, variance, noise


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> ceflow.Run:
    stages = {"ntk": Kernel(ridge=RIDGE), "nngp": Kernel(kind="nngp", ridge=RIDGE)}
    stages["bare"] = Kernel(kind="nngp", ridge=1e-11)
    last = {"last": Flow(time=math.inf, kernel="nngp")}
    return ceflow.run(document(stages | last), tmp_path_factory.mktemp("posterior") / "run")


@pytest.mark.parametrize("kind", ["ntk", "nngp"])
def test_the_posterior_of_numbers_is_that_of_the_formulas(numbers, kind):
    mean, variance, noise = expected(kind, NUMBERS)
    found, arrays, y = numbers.results[kind], numbers.arrays[kind], examples(NUMBERS).test.y
    np.testing.assert_allclose(arrays.predictions, mean, atol=1e-12)
    np.testing.assert_allclose(np.square(arrays.std), variance, atol=1e-12)
    assert found.noise == pytest.approx(noise)
    assert found.test_stddev == pytest.approx(np.sqrt(variance.mean()))
    normal: Any = scipy.stats.norm(mean, np.sqrt(variance + noise)[:, None])
    assert found.test_nll == pytest.approx(-normal.logpdf(y).mean())
    for level in (50, 90):
        low, high = normal.interval(level / 100)
        inside = ((low <= y) & (y <= high)).mean()
        assert found[f"test_coverage_{level}"] == pytest.approx(inside)
    assert "probabilities" not in found
    assert "test_log_loss" not in found


@pytest.mark.slow
def test_tiles_have_the_same_posterior(numbers, tmp_path):
    run = ceflow.run(document({"tiles": Kernel(ridge=RIDGE, tile=3)}), tmp_path / "run")
    np.testing.assert_allclose(run.arrays["tiles"].std, numbers.arrays["ntk"].std, rtol=1e-10)
    expected = numbers.results["ntk"].test_nll
    assert run.results["tiles"].test_nll == pytest.approx(expected, rel=1e-10)


def test_training_the_last_layer_ends_at_the_posterior_without_noise(numbers):
    """The stages compute it apart: by an eigendecomposition, and by a Cholesky factor."""
    flow, posterior = numbers.arrays["last"], numbers.arrays["bare"]
    # the ridge times the condition of the kernel, 200
    np.testing.assert_allclose(flow.predictions[8:], posterior.predictions, atol=1e-7)
    np.testing.assert_allclose(flow.std[8:], posterior.std, atol=1e-7)
    assert flow.std[:8].tolist() == [0] * 8


@pytest.mark.parametrize("targets", ["one-hot", "signed"])
def test_classes_have_probabilities(targets, tmp_path):
    source = Digits(train=30, test=40, classes=["3", "8"], targets=targets)
    stages = {"k": Kernel(kind="nngp", ridge=RIDGE)}
    run = ceflow.run(document(stages, source), tmp_path / "run")
    mean, variance, noise = expected("nngp", source)
    law = Predictive(mean, variance + noise)
    found, probabilities = run.results["k"], run.arrays["k"].probabilities
    np.testing.assert_allclose(probabilities, np.exp(law.log_probabilities()), rtol=1e-9)
    assert probabilities.shape == (40, 2)
    y = examples(source).test.y
    classes = y.argmax(axis=1) if targets == "one-hot" else (y[:, 0] > 0).astype(int)
    hits = probabilities.argmax(axis=1) == classes
    assert found.test_accuracy == pytest.approx(hits.mean())
    right = probabilities[np.arange(40), classes]
    assert found.test_log_loss == pytest.approx(-np.log(right).mean())
    assert 0 <= found.test_calibration_error <= 1
    assert "test_coverage_50" not in found


def test_a_posterior_over_one_input_is_drawn(tmp_path):
    x, x_test = np.array([[2.0], [0.0], [1.0]]), np.array([[1.5], [0.5]])
    np.savez(tmp_path / "line.npz", x=x, y=x**2, x_test=x_test, y_test=x_test**2)
    source = Npz(path=str(tmp_path / "line.npz"), targets="raw")
    run = ceflow.run(document({"k": Kernel(kind="nngp", ridge=RIDGE)}, source), tmp_path / "run")
    (curve,) = (
        block for block in KINDS[Kernel].describe(run.results["k"]) if isinstance(block, Curve)
    )
    line, targets = curve.series
    assert (curve.name, line.label, line.x) == ("posterior", "posterior", (0.5, 1.5))
    np.testing.assert_allclose(line.y, run.arrays["k"].predictions[::-1, 0])
    np.testing.assert_allclose(line.error, run.arrays["k"].std[::-1])
    assert (targets.x, targets.y) == ((0.0, 1.0, 2.0), (0.0, 1.0, 4.0))


def repeated(tmp_path: Path) -> Npz:
    """Test examples that are the training examples."""
    x = np.random.default_rng(0).normal(size=(6, 3))
    np.savez(tmp_path / "same.npz", x=x, y=x[:, :1], x_test=x, y_test=x[:, :1])
    return Npz(path=str(tmp_path / "same.npz"), targets="raw")


def test_without_noise_training_examples_have_no_likelihood(tmp_path):
    stages = {"k": Kernel(ridge=0.0), "noisy": Kernel(ridge=1e-6)}
    run = ceflow.run(document(stages, repeated(tmp_path)), tmp_path / "run")
    found = run.results["k"]
    assert found.test_stddev == pytest.approx(0, abs=1e-6)
    assert found.test_nll is None
    assert found.test_coverage_90 is None
    (warning,) = found.warnings
    assert warning.startswith(
        "the likelihood of the test targets is undefined: the variance of 6 test examples is within"
        " rounding of 0"
    )
    assert run.results["noisy"].test_nll < 0


def test_a_drawn_kernel_has_a_posterior_and_training_examples_alone_have_none(tmp_path):
    stages = {
        "drawn": Kernel(method="empirical", ridge=RIDGE),
        "mean": Kernel(method="mean", draws=3, ridge=RIDGE),
        "tiles": Kernel(method="empirical", ridge=RIDGE, tile=4),
    }
    run = ceflow.run(document(stages, model=FINITE), tmp_path / "run")
    for name, result in run.results.items():
        assert run.arrays[name].std.shape == (5,)
        assert 0 < result.test_stddev < np.sqrt(result.trace / 8)
    alone = NUMBERS.model_copy(update={"test": 0})
    run = ceflow.run(document({"k": Kernel(ridge=RIDGE)}, alone), tmp_path / "alone")
    assert "test_stddev" not in run.results["k"]
    assert list(run.arrays["k"]) == ["array"]


def test_a_kernel_that_is_none_has_no_standard_deviation(tmp_path, monkeypatch):
    from ceflow.stages.kernel import methods

    monkeypatch.setattr(methods.Computed, "test_diagonal", lambda self: np.full(5, 1e-3))
    run = ceflow.run(document({"k": Kernel(ridge=RIDGE)}), tmp_path / "run")
    found = run.results["k"]
    assert found.test_mse is not None
    assert (found.std, found.test_stddev, found.test_nll) == (None, None, None)
    said = "the posterior standard deviation is undefined: the variance of 5 test examples is"
    assert found.warnings[0].startswith(f"{said} negative")


def test_kernels_are_compared_side_by_side(numbers):
    fitted = ("ntk", "nngp")
    (table,) = KINDS[Kernel].overview({name: numbers.results[name] for name in fitted})
    assert isinstance(table, Table)
    assert table.columns == ("kernel", "kind", "test error", "std", "NLL", "50 %", "90 %")
    assert [row[:2] for row in table.rows] == [("ntk", "NTK"), ("nngp", "NNGP")]
    assert table.rows[0][4] == numbers.results["ntk"].test_nll


def test_arrays_of_the_posterior_are_forecast():
    plan = ceflow.compile(document({}, Digits(train=50, test=100)))
    plain, ridge = (forecast(plan, stage, plan.model) for stage in (Kernel(), Kernel(ridge=1.0)))
    assert ridge.disk - plain.disk == 8 * 100 * (10 + 1 + 10)
    assert ridge.memory > plain.memory + 8 * 4 * 100 * 100 * 40

"""Train stages of finite networks: results, replicas, weights, divergence, against flows."""

import math
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ceflow
from ceflow import data, kernels
from ceflow.runs import prepare
from ceflow.seeding import Seed
from ceflow.spec import (
    Bottleneck,
    Digits,
    Document,
    Ensemble,
    Flow,
    Gaussian,
    LearningRates,
    Mlp,
    Network,
    Npz,
    Resnext,
    Stop,
    Train,
)
from ceflow.stages.train import TrainStage, demand
from ceflow.store import RunDirectory
from ceflow.training import augmentation
from ceflow.training.loop import GROWTH

TRAIN, TEST = 8, 3
DATA = Gaussian(train=TRAIN, test=TEST, inputs=3, outputs=2)
MEMBER = Mlp(widths=[6, 5], activation="tanh")
MODEL = Ensemble(multiplicity=2, member=MEMBER)
SMALL: dict[str, Any] = {"steps": 12, "batch": 3, "points": 3, "learning_rate": 0.05}


def document(stages: dict[str, Any], **keys: Any) -> Document:
    return Document(**({"data": DATA, "model": MODEL} | keys), stages=stages)


def small(**changes: Any) -> Train:
    return Train(**(SMALL | changes))


def lines(run: ceflow.Run, name: str) -> list[dict[str, Any]]:
    return list(RunDirectory(run.path).read_metrics(name).lines())


STAGES = {
    "one": small(record=["drift", "alignment", "spectrum", "predictions"]),
    "several": small(replicas=3, record=["drift"], reduction="mean", momentum=0.5),
    "relative": small(learning_rate=LearningRates(relative=0.2)),
    "averaged": Train(steps=12, batch=3, learning_rate=0.05, average=0.9, moments=[5]),
    "stopped": small(steps=400, points=400, learning_rate=0.02, stop=Stop(train_loss=3.0)),
    "linear": small(engine="linearised"),
    "wild": small(steps=400, points=40, learning_rate=3.0),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return ceflow.run(document(STAGES), tmp_path_factory.mktemp("train") / "run")


def test_results_are_those_of_the_last_line(runs):
    for name in STAGES:
        last, values = lines(runs, name)[-1], runs.results[name]
        assert values["steps"] == last.pop("step")
        assert values.table().items() >= last.items()
    one = runs.results["one"]
    assert (one.engine, one.optimizer, one.replicas, one.batch) == ("parameters", "sgd", 1, 3)
    root = ceflow.compile(document(STAGES)).root
    assert (one.parameters, one.flops) == (root.parameters, root.flops)
    assert [line["step"] for line in lines(runs, "one")] == [0, 4, 8, 12]
    assert [line["step"] for line in lines(runs, "averaged")] == [0, 5, 12]
    assert {"width", "sampling", "embedding", "largest_learning_rate"}.isdisjoint(one)


def test_losses_are_of_all_examples_and_fall(runs):
    found = data.load(DATA, Path(), Seed(0).fold("data"))
    outputs = RunDirectory(runs.path).read_array("one.predictions")
    assert outputs.shape == (4, TRAIN + TEST, 2)
    for moment, line in zip(outputs, lines(runs, "one"), strict=True):
        for part, rows in (("train", moment[:TRAIN]), ("test", moment[TRAIN:])):
            squares = np.square(rows - getattr(found, part).y).sum()
            assert line[f"{part}_loss"] == pytest.approx(0.5 * squares, rel=1e-12)
    assert lines(runs, "one")[-1]["train_loss"] < 0.9 * lines(runs, "one")[0]["train_loss"]


def test_the_mean_over_outputs_is_the_mean_at_a_rate_times_their_number(tmp_path):
    stages = {
        "mean": small(reduction="mean", momentum=0.5),
        "all": small(reduction="mean-all", momentum=0.5, learning_rate=0.1),
    }
    runs = [ceflow.run(document({"t": each}), tmp_path / name) for name, each in stages.items()]
    one, two = (RunDirectory(run.path).read_array("t.predictions") for run in runs)
    np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12)  # rounded in another order
    mean, every = (run.results["t"] for run in runs)
    assert mean.train_loss == pytest.approx(2 * every.train_loss, rel=1e-9)
    targets = data.load(DATA, Path(), Seed(0).fold("data")).test.y
    assert every.test_loss == pytest.approx(0.5 * np.square(two[TRAIN:] - targets).mean(), rel=1e-9)


def module_of(runs: ceflow.Run, name: str, like: Any) -> Any:
    return eqx.tree_deserialise_leaves(runs.path / runs.results[name].weights, like)


def test_trained_weights_are_kept_and_have_the_outputs(runs, x64):
    plan = ceflow.compile(document(STAGES))
    found = data.load(DATA, Path(), Seed(0).fold("data"))
    x = jnp.asarray(np.concatenate([found.train.x, found.test.x]))
    like = plan.module(jax.random.key(0))
    module = module_of(runs, "averaged", like)
    expected = RunDirectory(runs.path).read_array("averaged.predictions")
    np.testing.assert_allclose(jax.vmap(module)(x), expected, rtol=1e-12)
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3) if eqx.is_array(leaf) else leaf, like)
    several = module_of(runs, "several", stacked)
    expected = RunDirectory(runs.path).read_array("several.predictions")
    found = eqx.filter_vmap(lambda each: jax.vmap(each)(x))(several)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_the_first_line_is_of_the_network_that_the_seed_draws(runs, x64):
    plan = ceflow.compile(document(STAGES))
    module: Any = plan.module(Seed(0).fold("stages").fold("one").fold(0).jax())
    x = data.load(DATA, Path(), Seed(0).fold("data")).train.x
    first = RunDirectory(runs.path).read_array("one.predictions")[0]
    np.testing.assert_allclose(first[:TRAIN], jax.vmap(module)(jnp.asarray(x)), rtol=1e-12)
    ntk = np.asarray(kernels.empirical_ntk(module, x, trace=True)) / 2
    largest = lines(runs, "one")[0]["eigenvalue_max"]
    assert largest == pytest.approx(np.linalg.eigvalsh(ntk)[-1], rel=1e-10)


def test_drift_is_measured_from_the_start(runs, x64):
    assert (lines(runs, "one")[0]["drift"], lines(runs, "one")[0]["drift_relative"]) == (0, 0)
    plan = ceflow.compile(document(STAGES))
    start = plan.module(Seed(0).fold("stages").fold("one").fold(0).jax())
    end = module_of(runs, "one", start)
    x = data.load(DATA, Path(), Seed(0).fold("data")).train.x
    before, after = (np.asarray(kernels.empirical_ntk(m, x, trace=True)) / 2 for m in (start, end))
    upper = np.triu_indices(TRAIN, 1)
    found = runs.results["one"]
    assert found.drift == pytest.approx(np.median(np.abs(after - before)[upper]), rel=1e-9)
    relative = np.linalg.norm(after - before) / np.linalg.norm(before)
    assert found.drift_relative == pytest.approx(relative, rel=1e-9)


def test_numbers_of_replicas_are_means_with_standard_errors(runs):
    result, directory = runs.results["several"], RunDirectory(runs.path)
    curves = directory.read_array("several.curves")
    assert result.curve_columns[:2] == ["train_loss", "test_loss"]
    assert "drift" in result.curve_columns
    assert curves.shape == (len(result.curve_columns), 4, 3)
    for column, each in zip(result.curve_columns, curves, strict=True):
        assert result[column] == pytest.approx(each[-1].mean(), rel=1e-12)
        error = each[-1].std(ddof=1) / math.sqrt(3)
        assert result[f"{column}_stderr"] == pytest.approx(error, rel=1e-12)
    outputs = directory.read_array("several.predictions")
    y = data.load(DATA, Path(), Seed(0).fold("data")).train.y
    losses = 0.5 * np.square(outputs[:, :TRAIN] - y).sum(axis=2).mean(axis=1)
    np.testing.assert_allclose(curves[0, -1], losses, rtol=1e-12)
    assert np.ptp(losses) > 0


def test_a_relative_rate_is_of_the_first_batch(runs):
    result = runs.results["relative"]
    assert result.learning_rate == pytest.approx(0.2 * result.largest_learning_rate, rel=1e-12)
    assert result.rate_examples == 3
    assert result.ended == "steps"


def test_a_training_stops_at_the_loss_asked_for(runs):
    result = runs.results["stopped"]
    assert result.ended == "stop"
    before = lines(runs, "stopped")[-2]["train_loss"]
    assert result.train_loss <= 3.0 < before
    assert result.steps < 400


def test_a_training_that_diverges_ends_with_the_last_good_weights(runs, x64):
    result = runs.results["wild"]
    assert result.ended == "unstable"
    assert result.steps < 400
    (warning,) = result.warnings
    assert "at the learning rate 3; at the start the largest stable one is" in warning
    assert "grew to" in warning or "stopped being finite" in warning
    module = module_of(runs, "wild", ceflow.compile(document(STAGES)).module(jax.random.key(0)))
    assert all(
        np.isfinite(leaf).all() for leaf in jax.tree.leaves(eqx.filter(module, eqx.is_array))
    )
    assert math.isfinite(result.train_loss)


def test_of_a_training_that_diverges_no_loss_is_kept_that_has_grown_without_bound(tmp_path):
    """Its first step goes too far, and is the first moment."""
    stage = small(steps=9, points=9, learning_rate=1e4)
    result: Any = ceflow.run(document({"t": stage}), tmp_path / "run").results["t"]
    assert (result.ended, result.steps) == ("unstable", 0)
    assert "at step 1, at the learning rate 1e+04" in result.warnings[0]


def test_batch_norm_that_makes_the_first_batch_larger_is_no_divergence(tmp_path):
    """In inference mode these outputs are a thousandth of those in training mode."""
    x = np.random.default_rng(0).normal(size=(30, 4))
    np.savez(tmp_path / "small.npz", x=1e-3 * x, y=1e-3 * np.tanh(x.sum(axis=1, keepdims=True)))
    layers = [
        {"type": "dense", "units": 6},
        {"type": "batch-norm"},
        "relu",
        {"type": "dense"},
    ]
    found = ceflow.run(
        Document(
            data=Npz(path=str(tmp_path / "small.npz")),
            model=Network(layers=layers),
            stages={"t": small(learning_rate=1e-6)},
        ),
        tmp_path / "run",
    )
    assert found.results["t"].ended == "steps"
    assert not found.results["t"].warnings


def test_running_statistics_that_are_behind_are_no_divergence(tmp_path):
    """Only the loss in inference mode grows more than it may."""
    stage = small(
        steps=6,
        points=6,
        batch=16,
        learning_rate=0.5,
        momentum=0.9,
        loss="cross-entropy",
        reduction="mean",
    )
    model = Resnext(blocks=[2, 2], base_width=4, cardinality=2)
    data: dict[str, Any] = {"data": Digits(train=64, test=4), "precision": "float32"}
    run = ceflow.run(document({"t": stage}, model=model, **data), tmp_path / "run")
    losses = run.frame("t")["train_loss"]
    assert run.results["t"].ended == "steps"
    assert losses[-1] > GROWTH * losses[0]


def test_of_inputs_too_large_for_any_rate_a_divergence_is_told(tmp_path):
    data = Digits(train=20, test=7, scale=1e20)
    stage = small(loss="cross-entropy", learning_rate=0.1)
    model = Mlp(widths=[8])
    found = ceflow.run(
        document({"t": stage}, data=data, model=model, precision="float32"), tmp_path / "run"
    )
    (warning,) = found.results["t"].warnings
    assert found.results["t"].ended == "unstable"
    assert warning.endswith("at the learning rate 0.1: lower learning_rate, or set warmup or clip")


def end(stage: Any, folder: Path, **keys: Any) -> np.ndarray:
    run = ceflow.run(document({"t": stage}, **keys), folder)
    return RunDirectory(run.path).read_array("t.predictions")


def test_small_steps_on_all_examples_follow_the_flow(tmp_path):
    """From the same networks; the distance falls like the step."""
    flow = end(Flow(time=0.5), tmp_path / "flow")
    found = [
        end(Train(steps=n, learning_rate=0.5 / n, points=1), tmp_path / f"{n}") for n in (50, 100)
    ]
    first, second = (np.linalg.norm(each - flow) / np.linalg.norm(flow) for each in found)
    assert second < 0.01
    assert first / second == pytest.approx(2.0, rel=0.1)


@pytest.mark.slow
def test_small_linearised_steps_follow_the_linearised_flow(tmp_path):
    flow = end(Flow(time=0.5, engine="linearised"), tmp_path / "flow")
    stage = Train(steps=200, learning_rate=0.5 / 200, points=1, engine="linearised")
    found = end(stage, tmp_path / "train")
    assert np.linalg.norm(found - flow) / np.linalg.norm(flow) < 0.01


def test_a_bottleneck_between_finite_halves_is_trained(tmp_path):
    half = Mlp(widths=[5])
    model = Bottleneck(size=2, encoder=half, decoder=half)
    assert end(small(), tmp_path / "run", model=model).shape == (TRAIN + TEST, 2)


def test_digits_are_learnt(tmp_path):
    stage = Train(
        epochs=4,
        batch=50,
        optimizer="adam",
        learning_rate=0.02,
        loss="cross-entropy",
        reduction="mean",
        points=2,
        record=["top-5"],
    )
    model = Ensemble(multiplicity=4, member=Mlp(widths=[32]))
    keys: dict[str, Any] = {"data": Digits(train=1000, test=300), "precision": "float32"}
    run = ceflow.run(document({"t": stage}, model=model, **keys), tmp_path / "run")
    result: Any = run.results["t"]
    assert result.test_accuracy > 0.9
    assert result.test_top5 > 0.98
    assert lines(run, "t")[0]["test_accuracy"] < 0.4
    assert result.train_loss < 0.35 < lines(run, "t")[0]["train_loss"]


@pytest.mark.slow
def test_a_resnext_is_trained_on_augmented_images(tmp_path):
    images = Digits(train=64, test=16, augment=["crop", "flip"])
    stage = small(steps=4, batch=16, learning_rate=0.05, momentum=0.9, points=2)
    model = Resnext(blocks=[1, 1], base_width=4, cardinality=2)
    found = end(stage, tmp_path / "run", model=model, data=images, precision="float32")
    assert found.shape == (80, 10)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("streamed", [False, True])
def test_colours_of_standardised_images_change_as_they_were_stored(streamed, monkeypatch, tmp_path):
    """With factors of 0.7 for all images, a training is one on images that were changed before."""
    monkeypatch.setattr(augmentation, "JITTER", (0.7, 0.7))
    x, y = np.random.default_rng(0).uniform(size=(9, 3, 4, 5)), np.arange(9) % 3
    grey = np.tensordot(x, augmentation.GREY, (1, 0))[:, None]
    level = grey.mean(axis=(2, 3), keepdims=True)
    changed = 0.7 * (0.7 * (0.7 * x + 0.3 * grey) + 0.3 * level)
    standard = 0.5 * (changed - x.mean(axis=0)) / x.std(axis=0)
    np.savez(tmp_path / "stored.npz", x=x, y=y)
    np.savez(tmp_path / "changed.npz", x=standard, y=y)
    stored: dict[str, Any] = {"normalise": "standard", "scale": 0.5, "augment": ["color-jitter"]}
    models = []
    for name, keys in (("changed", {}), ("stored", stored)):
        data = Npz(path=str(tmp_path / f"{name}.npz"), targets="one-hot", **keys)
        run = ceflow.run(document({"t": small(points=2)}, data=data), tmp_path / name)
        models.append(run.network("t"))
        if streamed:
            monkeypatch.setattr(demand, "MEMORY", 0)
    expected, found = (jax.tree.leaves(eqx.filter(model, eqx.is_array)) for model in models)
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9)


@pytest.mark.parametrize(("on_cpu", "together"), [(True, 1), (False, 3)])
def test_networks_of_images_are_trained_one_by_one_on_a_cpu(on_cpu: bool, together: int):
    stage = Train(steps=1, batch=4, learning_rate=0.1, replicas=3)
    plan = ceflow.compile(
        Document(
            model=Resnext(blocks=[1], cardinality=2, base_width=2),
            data=Digits(train=8, test=0),
            stages={"t": stage},
        )
    )
    assert plan.model
    assert demand.together(stage, plan, plan.model, on_cpu=on_cpu) == together


def test_replicas_that_do_not_fit_are_trained_in_groups_with_the_same_numbers(
    runs, monkeypatch, tmp_path
):
    monkeypatch.setattr(demand, "GROUP_BYTES", 1.0)
    stage = {"several": STAGES["several"]}
    (remark,) = prepare(ceflow.compile(document(stage))).needs()["several"].remarks
    assert remark == "2 replicas at a time"
    found, whole = ceflow.run(document(stage), tmp_path / "run"), runs.results["several"]
    assert found.results["several"].together == 2
    assert "together" not in whole
    for part in ("curves", "predictions"):
        one, other = (RunDirectory(run.path).read_array(f"several.{part}") for run in (found, runs))
        np.testing.assert_array_equal(one, other)
    (table, *_) = TrainStage().describe(found.results["several"])
    assert "3, 2 at a time" in str(table)

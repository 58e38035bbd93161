"""Stages on chains of bottlenecks: what is written, and what they are forecast to need."""

import math
from typing import Any

import numpy as np
import pytest

import ceflow
from ceflow import bottlenecks, data, dynamics
from ceflow.runs.prepared import forecast
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck, Chain, Document, Flow, Gaussian, LearningRates, Mlp, Train
from ceflow.stages.stage import precision
from ceflow.store import RunDirectory

DATA = Gaussian(train=6, test=2, inputs=3, outputs=2)
WIDE = Mlp(widths=(math.inf,), weight_variance=1.0)
CHAIN = Chain(segments=[WIDE, WIDE, WIDE], sizes=[2, 4])
PAIR = Chain(segments=[WIDE, WIDE], sizes=[2]), Bottleneck(size=2, encoder=WIDE, decoder=WIDE)
SMOOTH = Chain(segments=[WIDE, WIDE, WIDE.model_copy(update={"activation": "erf"})], sizes=[2, 4])
SMALL: dict[str, Any] = {"steps": 12, "batch": 3, "width": 200, "points": 3}


def document(model: Any, **stages: Any) -> Document:
    return Document(data=DATA, model=model, stages=stages)


@pytest.mark.slow
def test_a_training_writes_the_values_in_all_bottlenecks(tmp_path):
    """Those of the library, side by side; and the outputs."""
    stage = Train(**SMALL, learning_rate=0.05, record=["embedding", "drift"])
    run = ceflow.run(document(CHAIN, train=stage), tmp_path)
    found, stream = data.load(DATA, tmp_path, Seed(0).fold("data")), Seed(0).fold("stages")
    seed, directory = stream.fold("train"), RunDirectory(run.path)
    with precision(ceflow.compile(document(CHAIN))):
        simulated = bottlenecks.Simulation(
            CHAIN,
            bottlenecks.sample(CHAIN, 3, 2, seed.fold(0), width=200),
            found.train.x,
            found.train.y,
            found.test.x,
            dynamics.SquaredError("sum"),
        )
        batches = bottlenecks.Batches(6, 3, seed.fold("batches"))
        state = simulated.train(0.05, batches, 12).state
        values, outputs = simulated.values(state), simulated.outputs(state)
    embedding = directory.read_array("train.embedding")
    assert embedding.shape == (4, 8, 6)
    np.testing.assert_allclose(embedding[-1], values, rtol=1e-10)
    np.testing.assert_allclose(directory.read_array("train.predictions"), outputs, rtol=1e-10)
    assert run.results["train"].drift_relative > 0


@pytest.mark.slow
def test_a_flow_of_a_chain_moves_as_small_steps_do(tmp_path):
    """Steps of 1/800, whose error is of first order; the NTK of the whole is recorded."""
    flow = Flow(time=1.0, width=200, points=4, record=["drift", "spectrum"])
    train = Train(steps=800, width=200, learning_rate=1 / 800, points=4, record=["drift"])
    run = ceflow.run(document(SMOOTH, s=flow), tmp_path / "flow")
    steps = ceflow.run(document(SMOOTH, s=train), tmp_path / "train")
    followed, stepped = (
        RunDirectory(each.path).read_array("s.predictions") for each in (run, steps)
    )
    assert np.linalg.norm(followed - stepped) < 0.01 * np.linalg.norm(stepped)
    drifts = run.results["s"].drift_relative, steps.results["s"].drift_relative
    assert drifts[0] == pytest.approx(drifts[1], rel=0.02)
    assert drifts[0] > 0.05


@pytest.mark.parametrize("rate", [0.5, 2.5])
def test_a_relative_rate_is_of_the_composed_ntk_at_the_start(tmp_path, rate):
    """Below the largest rate the loss falls, and above it a training ends unstable."""
    given = LearningRates(relative=rate)
    run = ceflow.run(document(SMOOTH, s=Train(steps=60, width=200, learning_rate=given)), tmp_path)
    found = run.results["s"]
    assert found.learning_rate == pytest.approx(rate * found.largest_learning_rate)
    assert found.ended == ("steps" if rate < 1 else "unstable")


@pytest.mark.parametrize("engine", ["features", "history"])
def test_two_segments_need_what_a_bottleneck_needs_and_three_need_more(engine):
    keys: dict[str, Any] = SMALL | {"width": 2000, "steps": 500, "engine": engine}
    stage = Train(**keys)
    two, one, three = (
        forecast(ceflow.compile(document(model, s=stage)), stage, model) for model in (*PAIR, CHAIN)
    )
    assert two == one
    assert three.memory > one.memory
    assert three.work.flops > 1.5 * one.work.flops


def test_a_finite_chain_is_trained_as_other_networks_are(tmp_path):
    """From the same weights as the bottleneck of its halves, to the same numbers."""
    half = Mlp(widths=(5,))
    models = (
        Chain(segments=[half, half], sizes=[2]),
        Bottleneck(size=2, encoder=half, decoder=half),
    )
    stage = Train(steps=5, learning_rate=0.05)
    losses = [
        ceflow.run(document(model, train=stage), tmp_path / str(index)).results["train"].train_loss
        for index, model in enumerate(models)
    ]
    assert losses[0] == losses[1]

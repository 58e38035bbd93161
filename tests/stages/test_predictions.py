"""Outputs recorded at every moment, the arrays of a run, and the figure of outputs."""

import math
from typing import Any

import jax
import numpy as np
import pytest
from test_flow import OUTPUTS, TEST, TRAIN, document, drawn, examples, lines

import ceflow
from ceflow.blocks import Curve
from ceflow.data import Dataset, Examples
from ceflow.runs import prepare
from ceflow.spec import Bottleneck, Circle, Digits, Flow, Kernel, Mlp, Sweep, Train
from ceflow.stages.profiles import OutputProfile, drawn_outputs, output_profile

RECORD: dict[str, Any] = {"record": ["predictions"]}
STAGES = {
    "weights": Flow(time=1.0, points=2, replicas=2, **RECORD),
    "closed": Flow(time=1.0, engine="closed-form", start="weights", replicas=2, times=(0.3,)),
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> ceflow.Run:
    return ceflow.run(document(STAGES), tmp_path_factory.mktemp("recorded") / "run")


def test_outputs_are_kept_at_every_moment_and_for_every_replica(done):
    outputs = done.arrays["weights"].predictions
    assert outputs.shape == (3, 2, TRAIN + TEST, OUTPUTS)
    apart = outputs[:, :, :TRAIN] - examples().train.y
    losses = np.median(np.square(apart).sum(axis=(2, 3)) / 2, axis=1)
    found = [line["train_loss"] for line in lines(done, "weights")]
    np.testing.assert_allclose(losses, found, rtol=1e-12)
    with jax.enable_x64(True):
        module: Any = drawn(document(STAGES), "weights", 1)
        start = np.asarray(jax.vmap(module)(examples().test.x))
    np.testing.assert_allclose(outputs[0, 1, TRAIN:], start, rtol=1e-10)  # rounding
    assert "profile" not in done.results["weights"]  # there are three inputs


def test_the_distance_is_from_the_end_of_the_stage_in_start(done):
    end, closed = done.arrays["weights"]["predictions"][-1], done.arrays["closed"].predictions
    assert closed.shape == end.shape
    norms = np.linalg.norm(closed - end, axis=(1, 2)) / np.linalg.norm(end, axis=(1, 2))
    assert done.results["closed"].distance == pytest.approx(np.median(norms), rel=1e-9)


@pytest.mark.slow
def test_a_training_keeps_its_outputs_too(tmp_path):
    half = Mlp(widths=(math.inf,), weight_variance=1.0)
    network = Bottleneck(size=2, encoder=half, decoder=half)
    stage = Train(steps=4, width=20, moments=[1], **RECORD)
    source = Circle(points=6)
    run = ceflow.run(document({"t": stage}, model=network, data=source), tmp_path / "run")
    outputs, profile = run.arrays["t"].predictions, run.results["t"].profile
    assert outputs.shape == (3, 6, 1)
    assert [line["step"] for line in lines(run, "t")] == profile.moments == [0, 1, 4]
    # the angles of a circle are in increasing order
    np.testing.assert_array_equal(profile.outputs, outputs[..., 0])
    np.testing.assert_allclose(profile.x, np.linspace(-math.pi, math.pi, 6), atol=1e-12)


def test_arrays_are_found_by_attribute_and_by_key(done, tmp_path):
    arrays = done.arrays
    assert (list(arrays), list(arrays["closed"])) == (["weights", "closed"], ["predictions"])
    assert "predictions" in dir(arrays["closed"])
    np.testing.assert_array_equal(arrays["closed"].predictions, done.array("closed.predictions"))
    known = "the stage 'closed' left no array 'prediction'; its arrays are predictions"
    with pytest.raises(AttributeError, match=known):
        _ = arrays["closed"].prediction
    with pytest.raises(KeyError, match=known):
        _ = arrays["closed"]["prediction"]
    with pytest.raises(KeyError, match=r"predictions is an array of arrays\['closed'\]"):
        _ = arrays["closed.predictions"]
    paths: dict[str, Any] = {"model.activation": ["relu", "erf"]}
    swept = document({"k": Kernel()}, sweep=Sweep(**paths))
    arrays = ceflow.run(swept, tmp_path / "swept").arrays
    assert list(arrays) == ["activation=relu/k", "activation=erf/k"]
    assert arrays["activation=erf/k"].array.shape == (TRAIN, TRAIN)


def angles(*turns: float) -> np.ndarray:
    return np.stack([np.cos(turns), np.sin(turns)], axis=1)


def dataset(train: np.ndarray, test: np.ndarray) -> Dataset:
    first, second = (Examples(x, x[:, :1] + 10) for x in (train, test))
    return Dataset(first, second)


def profile_of(both: Dataset, *rest: Any) -> OutputProfile | None:
    return output_profile(np.concatenate([both.train.x, both.test.x]), both.train, *rest)


def test_a_profile_is_in_the_order_of_the_input():
    both = dataset(3 * angles(1.0, -2.0), 3 * angles(0.5))
    outputs = np.arange(2 * 2 * 3.0).reshape(2, 2, 3, 1) ** 2
    profile = profile_of(both, [0.0, math.inf], outputs)
    assert profile is not None
    assert (profile.axis, profile.moments) == ("angle", [0.0, "inf"])
    np.testing.assert_allclose(profile.x, [-2.0, 0.5, 1.0], rtol=1e-12)
    mean, spread = outputs[..., 0].mean(axis=1), outputs[..., 0].std(axis=1, ddof=1)
    np.testing.assert_array_equal(profile.outputs, mean[:, [1, 2, 0]])
    np.testing.assert_array_equal(profile.stddev, spread[:, [1, 2, 0]])
    np.testing.assert_allclose(profile.target_x, [-2.0, 1.0], rtol=1e-12)
    np.testing.assert_array_equal(profile.targets, both.train.y[[1, 0], 0])
    given = profile_of(both, [0.0, math.inf], outputs, np.array([[1.0, 2, 3], [4, 5, 6]]))
    assert given is not None
    assert given.stddev == [[2, 3, 1], [5, 6, 4]]


def test_of_one_network_there_is_no_spread_and_other_inputs_have_no_profile():
    line = dataset(np.array([[3.0], [1.0]]), np.zeros((0, 1)))
    profile = profile_of(line, [0.0], np.ones((1, 1, 2, 1)))
    assert profile is not None
    assert (profile.axis, profile.x, profile.stddev) == ("input", [1.0, 3.0], None)
    for x in (np.array([[1.0, 0.0], [0.0, 2.0]]), np.zeros((2, 2)), np.ones((2, 3))):
        assert profile_of(dataset(x, x[:0]), [0.0], np.ones((1, 1, 2, 1))) is None


def test_the_figure_leaves_out_what_is_not_finite():
    known: dict[str, Any] = {"network_outputs": 3, "axis": "input", "target_x": [0.5]}
    asked = known | {"x": [0.0, 1.0], "moments": [0.0, "inf"], "targets": [2.0]}
    rows = {"outputs": [[1.0, None], [3.0, 4.0]], "stddev": [[0.1, 0.2], [0.3, 0.4]]}
    curve = drawn_outputs(OutputProfile(**asked, **rows), "mu t")
    assert isinstance(curve, Curve)
    assert curve.y_label == "first of 3 outputs"
    end, start, targets = curve.series
    assert (start.label, start.x, start.y, start.error) == ("mu t 0", (0.0,), (1.0,), (0.1,))
    assert (end.label, end.error) == ("mu t inf", (0.3, 0.4))
    assert (targets.x, targets.y, targets.style) == ((0.5,), (2.0,), "points")


def test_classes_have_no_figure_of_outputs(tmp_path):
    x = np.linspace(0, 1, 4)[:, None]
    np.savez(tmp_path / "line.npz", x=x, y=[0, 1, 0, 1])
    text = f"""
        data = {{source = "npz", path = "{tmp_path / "line.npz"}", targets = "one-hot"}}
        model = {{type = "mlp", widths = [inf]}}
        stages.f = {{type = "flow", time = 1.0, points = 1, record = ["predictions"]}}
    """
    result = ceflow.run(ceflow.loads(text), tmp_path / "run").results["f"]
    assert "profile" not in result


@pytest.mark.parametrize("stage", [Flow(time=1.0, points=9), Train(steps=50, points=9)])
def test_moments_times_the_disk_are_forecast(stage):
    half = Mlp(widths=(math.inf,))
    network = Bottleneck(size=2, encoder=half, decoder=half)
    plain, recorded = (
        prepare(ceflow.compile(document({"s": each}, model=network, data=Digits()))).forecasts[""]
        for each in (stage, stage.replaced(RECORD))
    )
    assert recorded["s"].disk == 10 * plain["s"].disk
    assert recorded["s"].memory > plain["s"].memory + 10 * 8 * 10 * 1797

"""What is gathered of the histories of a sweep's runs."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console
from stubs import Untyped, stub

import ceflow
from ceflow.history import History
from ceflow.report import run_report, write_figures
from ceflow.runs import reopen
from ceflow.runs.collected import CollectedCurves
from ceflow.runs.curves import RESAMPLED_POINTS, curves
from ceflow.spec import (
    Bottleneck,
    Collect,
    Document,
    Flow,
    Gaussian,
    Mlp,
    Sweep,
    Train,
)
from ceflow.stages import Values
from ceflow.store import RunDirectory

WIDTHS = [math.inf, 10, 2]


def lines_of(n: float) -> list[Values]:
    """A loss that falls by `1/n` a unit of time, and a test loss twice as large; that of an
    infinite n ends at half time, and infinite time is in the last line."""
    times = [0.0, 1.0, 2.0, 3.0, 4.0][: 3 if n == math.inf else None]
    slope = 0.1 if n == math.inf else 1 / n
    lines: list[Values] = [
        {"time": t, "train_loss": 3 - slope * t, "test_loss": 6 - 2 * slope * t} for t in times
    ]
    return [*lines, {"time": "inf", "train_loss": 0.0, "test_loss": None}]


@pytest.fixture
def falling(monkeypatch):
    """Flow stages with such a history."""

    def found(job):
        history = History.of_lines(lines_of(job.model.widths[0]))
        return Untyped(train_loss=1.0, history=history)

    stub(monkeypatch, Flow, run=found, describe=lambda result: [])


def swept(collect: Mapping[str, Collect], **sweep: list[Any]) -> Document:
    paths: dict[str, Any] = sweep or {"model.widths": [[n, n] for n in WIDTHS]}
    return Document(
        data=Gaussian(train=3, inputs=2),
        model=Mlp(widths=[8, 8], activation="erf"),
        stages={"flow": Flow(time=4.0)},
        sweep=Sweep(**paths),
        collect=dict(collect),
    )


def loss(**keys: Any) -> Collect:
    asked: dict[str, Any] = {"x": "stages.flow.time", "y": "stages.flow.train_loss"}
    asked |= {"by": "model.widths"} | keys
    return Collect(**asked)


def test_curves_are_the_metrics_in_the_order_of_by(falling, tmp_path):
    run = ceflow.run(swept({"c": loss()}), tmp_path / "out")
    found = run.collected["c"]
    assert [curve["by"] for curve in found["curves"]] == ["2", "10", "inf"]
    assert found["curves"][0]["run"] == "widths=2-2"
    assert [curve["x"] for curve in found["curves"]] == [[0, 1, 2, 3, 4]] * 2 + [[0, 1, 2]]
    assert found["curves"][0]["y"] == [3, 2.5, 2, 1.5, 1]
    assert (found["by"], found["view"]) == ("model.widths", "curves")
    assert "warnings" not in found
    assert json.loads((run.path / "results.json").read_text())["collect"] == run.collected
    assert ceflow.run(swept({"c": loss()}), tmp_path / "out").collected == run.collected


def test_over_is_the_mean_of_curves_at_all_moments_that_all_have(falling, tmp_path):
    """Of 3 - t/2, 3 - t/10 and 3 - t/10 to half time: the mean falls by 0.7/3 a unit of time."""
    document = swept({"c": loss(by=None, over="model.widths")})
    found = ceflow.run(document, tmp_path / "out").collected["c"]
    (mean,) = found["curves"]
    assert mean["x"] == [0, 1, 2]
    np.testing.assert_allclose(mean["y"], [3, 3 - 0.7 / 3, 3 - 1.4 / 3], rtol=1e-12)
    np.testing.assert_allclose(mean["stderr"], [0, 0.4 / 3, 0.8 / 3], atol=1e-12)
    assert mean["runs"] == 3
    (warning,) = found["warnings"]
    assert warning == "the mean over model.widths is from 0 to 2, where all 3 runs have values"


def test_without_by_each_run_has_its_curve(falling, tmp_path):
    found = ceflow.run(swept({"c": loss(by=None)}), tmp_path / "out").collected["c"]
    assert [curve["run"] for curve in found["curves"]] == [f"widths={n}-{n}" for n in WIDTHS]
    assert not any("by" in curve for curve in found["curves"])


def test_values_of_by_that_are_no_numbers_stay_in_the_order_of_the_runs(falling, tmp_path):
    activations = ["tanh", "erf", "silu"]
    document = swept({"c": loss(by="model.activation")}, **{"model.activation": activations})
    found = ceflow.run(document, tmp_path / "out").collected["c"]
    assert [curve["by"] for curve in found["curves"]] == activations


def test_infinity_is_a_number_and_comes_before_what_is_none(falling, tmp_path):
    document = swept({"c": loss()}, **{"model.widths": [[8, 4], [math.inf, math.inf], [2, 2]]})
    found = ceflow.run(document, tmp_path / "out").collected["c"]
    assert [curve["by"] for curve in found["curves"]] == ["2", "inf", "8 4"]


@pytest.mark.parametrize(
    ("level", "reached"),
    [(2.75, [0.5, 2.5, None]), (2.0, [2.0, None, None]), (3.0, [0.0, 0.0, 0.0])],
)
def test_a_level_is_reached_on_the_line_between_moments(falling, tmp_path, level, reached):
    found = ceflow.run(swept({"c": loss(level=level)}), tmp_path / "out").collected["c"]
    assert [each["x"] for each in found["reached"]] == pytest.approx(reached)
    ends = {"2": 4.0, "10": 4.0, "inf": 2.0}
    assert all(each["last"] == ends[each["by"]] for each in found["reached"] if each["x"] is None)


def test_a_level_with_over_is_that_of_the_runs_not_of_their_mean(falling, tmp_path):
    """3 - t/2 comes to 2.7 at 0.6 and 3 - t/10 at 3; the third ends at half time, at 2.8."""
    document = swept({"c": loss(by=None, over="model.widths", level=2.7)})
    (place,) = ceflow.run(document, tmp_path / "out").collected["c"]["reached"]
    assert place["x"] == pytest.approx(1.8)
    assert place["stderr"] == pytest.approx(1.2)
    assert (place["missed"], place["runs"]) == (1, 3)


def gathered(lines: dict[str, list[tuple[float, float]]], **keys: Any) -> CollectedCurves:
    """Of curves (training loss, test loss)."""
    document = swept({})
    histories = {
        name: {"flow": History.of_lines([{"train_loss": x, "test_loss": y} for x, y in pairs])}
        for name, pairs in lines.items()
    }
    asked = loss(x="stages.flow.train_loss", y="stages.flow.test_loss", by=None, **keys)
    return curves(asked, dict.fromkeys(lines, document), histories)


def test_a_rising_course_comes_to_a_level_too():
    found = gathered({"up": [(0, 0.2), (1, 0.4), (2, 0.9), (3, 0.1)]}, level=0.8)
    assert found["reached"][0]["x"] == pytest.approx(1.8)


def test_training_against_test_loss_by_the_papers_procedure():
    """Straight lines stay what they are; x are evenly spaced over the range of all curves, and no
    curve goes beyond its own."""
    found = gathered({"a": [(4, 9), (2, 5), (0, 1)], "b": [(3, 0), (1, 4)]}, smooth=5)
    a, b = found["curves"]
    step = 4 / (RESAMPLED_POINTS - 1)
    np.testing.assert_allclose(np.diff(a["x"]), step)
    np.testing.assert_allclose(a["x"][0], 2 * step)  # the mean of five from 0
    np.testing.assert_allclose(a["y"], 2 * np.array(a["x"]) + 1)
    np.testing.assert_allclose(b["y"], 6 - 2 * np.array(b["x"]))
    assert 1 < b["x"][0] < 1 + 3 * step
    assert 3 - 3 * step < b["x"][-1] < 3


def test_the_moving_average_is_of_five():
    """A spike one step of the grid wide at 2 is spread over five points."""
    step = 4 / (RESAMPLED_POINTS - 1)
    spike = 100 * step
    pairs = [(0, 0), (spike - step, 0), (spike, 1), (spike + step, 0), (4, 0)]
    (curve,) = gathered({"a": pairs}, smooth=5)["curves"]
    assert len(curve["x"]) == RESAMPLED_POINTS - 4
    np.testing.assert_allclose(sum(curve["y"]), 1)
    assert sum(y > 1e-9 for y in curve["y"]) == 5


def test_a_curve_too_short_to_be_smoothed_is_left_out_and_said():
    found = gathered({"long": [(0, 0), (4, 4)], "short": [(1, 1), (1.01, 1)]}, smooth=5)
    assert [curve["run"] for curve in found["curves"]] == ["long"]
    said = "short: fewer than 5 of 200 points lie in the curve's range"
    assert found["warnings"] == [said]


def test_a_run_without_the_quantity_is_left_out_and_said(falling, tmp_path):
    collect = {"c": loss(y="stages.flow.test_accuracy")}
    # swept data may have test examples: only a run shows that they have none
    sweep: dict[str, Any] = {"model.widths": [[n, n] for n in WIDTHS], "data.test": [0]}
    found = ceflow.run(swept(collect, **sweep), tmp_path / "out").collected["c"]
    assert found["curves"] == []
    (said,) = found["warnings"]
    assert said.startswith("3 of 3 runs have no history of stages.flow.test_accuracy over stages")
    assert said.endswith("'flow' has recorded train_loss")


HALF = Mlp(widths=[math.inf])
RECORDING = {
    "flow": (
        Mlp(widths=[8, 8]),
        Flow(time=1.0, points=2, record=["drift", "alignment", "spectrum"], replicas=4),
    ),
    "gaussian process": (Mlp(widths=[math.inf]), Flow(time=1.0, points=2)),
    "train": (
        Bottleneck(size=2, encoder=HALF, decoder=HALF),
        Train(steps=2, points=2, width=50, record=["drift"]),
    ),
}


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, marks=pytest.mark.slow if case == "flow" else ()) for case in RECORDING],
)
def test_every_number_a_stage_records_can_be_collected(tmp_path, case):
    """Else [collect] would refuse it; the first is what moments are counted by."""
    model, stage = RECORDING[case]
    data = Gaussian(train=3, test=2, inputs=2)
    run = ceflow.run(Document(data=data, model=model, stages={"s": stage}), tmp_path / "out")
    (line, *_) = RunDirectory(run.path).read_metrics("s").lines()
    assert len(line) > 2
    assert set(line) <= set(stage.recorded())
    assert next(iter(line)) == stage.recorded()[0]


@pytest.mark.slow
def test_a_sweep_of_real_flows_is_collected(tmp_path):
    collect = {"c": loss(by="model.widths", level=0.4)}
    document = swept(collect, **{"model.widths": [[4, 4], [8, 8]]})
    run = ceflow.run(document, tmp_path / "out")
    for curve in run.collected["c"]["curves"]:
        lines = RunDirectory(run.path / curve["run"]).read_metrics("flow").lines()
        assert curve["y"] == [line["train_loss"] for line in lines]


def shown(document: Document, folder: Any) -> tuple[str, Any]:
    """The report of a run, without colours, and the folder of its figures."""
    run = ceflow.run(document, folder)
    directory = RunDirectory(run.path)
    plan = reopen(directory)
    write_figures(directory, plan)
    with open("/dev/null", "w") as nowhere:
        console = Console(record=True, width=120, file=nowhere)
        for part in run_report(directory, plan):
            console.print(part)
    return console.export_text(), run.path / "figures"


def test_curves_have_a_legend_in_the_terminal_and_in_the_figure(falling, tmp_path):
    report, figures = shown(swept({"c": loss(level=2.5)}), tmp_path / "out")
    assert "model.widths: a 2   b 10   c inf" in report
    assert "first time at which train_loss comes to 2.5" in report
    rows = [line.split() for line in report.splitlines()]
    assert ["2", "1"] in rows
    assert ["inf", "not", "reached", "by", "time", "2"] in rows
    svg = (figures / "collect-c.svg").read_text()
    assert svg.index("<!-- 2 -->") < svg.index("<!-- 10 -->") < svg.index("<!-- inf -->")
    assert "<!-- model.widths -->" in svg


def test_a_heatmap_has_a_row_a_run_in_the_terminal_and_in_the_figure(falling, tmp_path):
    report, figures = shown(swept({"c": loss(view="heatmap")}), tmp_path / "out")
    lines = [line.strip() for line in report.splitlines()]
    (two,) = [line for line in lines if line.startswith("2 ┤")]
    (infinite,) = [line for line in lines if line.startswith("inf ┤")]
    cells = two.partition("┤")[2]
    assert len(cells) == 64
    assert list(dict.fromkeys(cells)) == list("█▓▒░")  # falls from the highest to the lowest
    assert len(infinite.partition("┤")[2]) == 32  # ends at half time
    assert any(line.startswith("training loss  1 ░░░░▒▒▒▒▓▓▓▓████ 3") for line in lines)
    assert any(line.endswith("logarithmic") for line in lines)
    svg = (figures / "collect-c.svg").read_text()
    ElementTree.fromstring(svg)
    fills = re.findall("fill: (#[0-9a-f]{6})", svg)
    top = fills[fills.index("#fde725") :]  # the brightest, of the highest; then as it falls
    assert top[4] == "#440154"
    assert svg.index("<!-- 2 -->") < svg.index("<!-- 10 -->") < svg.index("<!-- inf -->")
    assert "<!-- training loss -->" in svg

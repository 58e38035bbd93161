"""Histories of several stages over one axis, with a sweep and without."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stubs import Untyped, stub

import ceflow
from ceflow.blocks import Curve, Heatmap, Series, Table
from ceflow.history import History
from ceflow.report import write_figures
from ceflow.runs import read_collected, reopen
from ceflow.runs.describing import collected_blocks, collected_drawing
from ceflow.spec import Collect, Document, Flow, Gaussian, Mlp, Sweep
from ceflow.store import RunDirectory

TIME, A, B = "stages.a.time", "stages.a.test_loss", "stages.b.test_loss"
SWEEP: dict[str, Any] = {"model.widths": [[4], [2]]}


@pytest.fixture
def falling(monkeypatch):
    """Flow stages whose test loss falls by the inverse of the width, in `b` at half the times."""

    def found(job):
        times = np.arange(4.0) * (0.5 if job.name == "b" else 1.0)
        lines = [
            {"time": t, "train_loss": 1.0 + t, "test_loss": 5 - t / job.model.widths[0]}
            for t in times.tolist()
        ]
        return Untyped(train_loss=1.0, history=History.of_lines(lines))

    stub(monkeypatch, Flow, run=found, describe=lambda result: [])


def document(sweep: Any = None, **keys: Any) -> Document:
    asked: dict[str, Any] = {"x": TIME, "y": [A, B]}
    return Document(
        data=Gaussian(train=3, test=2, inputs=2),
        model=Mlp(widths=[1]),
        stages={"a": Flow(time=3.0), "b": Flow(time=1.5)},
        sweep=sweep and Sweep(**sweep),
        collect={"c": Collect(**(asked | keys))},
    )


def drawn(run: ceflow.Run) -> Any:
    return collected_drawing("c", read_collected({"collect": run.collected})[0]["c"])


def test_stages_of_one_run_are_drawn_over_their_own_times(falling, tmp_path):
    run = ceflow.run(document(), tmp_path / "out")
    figure = drawn(run)
    assert isinstance(figure, Curve)
    assert figure.series == (
        Series("a", (0.0, 1.0, 2.0, 3.0), (5.0, 4.0, 3.0, 2.0)),
        Series("b", (0.0, 0.5, 1.0, 1.5), (5.0, 4.5, 4.0, 3.5), dash=1),
    )
    assert (figure.title, figure.legend) == ("test_loss by time", "")
    assert json.loads((run.path / "results.json").read_text())["collect"] == run.collected
    write_figures(RunDirectory(run.path), reopen(RunDirectory(run.path)))
    assert (run.path / "figures/collect-c.svg").exists()
    assert ceflow.open(run.path).collected == run.collected
    assert run.figure("collect.c").axes


def test_a_sweep_has_a_colour_a_run_and_dashes_a_stage(falling, tmp_path):
    figure = drawn(ceflow.run(document(SWEEP, by="model.widths"), tmp_path / "out"))
    assert [(s.label, s.colour, s.dash) for s in figure.series] == [
        ("a, 2", 0, 0), ("a, 4", 1, 0), ("b, 2", 0, 1), ("b, 4", 1, 1)
    ]  # fmt: skip
    assert figure.legend == "stage, model.widths"


def test_quantities_of_one_stage_are_named_by_their_keys(falling, tmp_path):
    run = ceflow.run(document(y=["stages.a.train_loss", A], level=2.5), tmp_path / "out")
    table, figure = collected_blocks("c", read_collected({"collect": run.collected})[0]["c"])
    assert isinstance(figure, Curve)
    assert [series.label for series in figure.series] == ["train_loss", "test_loss"]
    assert table == Table(
        ("quantity", "first time at which it comes to 2.5"),
        (("train_loss", 1.5), ("test_loss", 2.5)),
    )


def test_means_and_heatmaps_are_of_each_stage(falling, tmp_path):
    asked = document(SWEEP, over="model.widths")
    found = ceflow.run(asked, tmp_path / "means").collected["c"]
    assert [(c["of"], c["runs"], c["y"][1]) for c in found["curves"]] == [
        (A, 2, pytest.approx(5 - 3 / 8)), (B, 2, pytest.approx(5 - 3 / 16))
    ]  # fmt: skip
    figure = drawn(ceflow.run(document(SWEEP, view="heatmap"), tmp_path / "heatmap"))
    assert isinstance(figure, Heatmap)
    assert [row.label for row in figure.series][::2] == ["a, widths=4", "b, widths=4"]


def test_a_lost_table_is_gathered_again(falling, tmp_path):
    run = ceflow.run(document(), tmp_path / "out")
    results: Path = run.path / "results.json"
    kept = json.loads(results.read_text())
    results.write_text(json.dumps({"stages": kept["stages"]}))
    assert ceflow.open(run.path).collected == {}
    assert ceflow.run(document(), tmp_path / "out").collected == run.collected


def test_a_stage_that_is_not_done_is_said(falling, tmp_path, monkeypatch):
    def failing(job):
        if job.name == "b":
            raise ValueError("no more")
        return Untyped(history=History.of_lines([{"time": 0.0, "test_loss": 1.0}]))

    stub(monkeypatch, Flow, run=failing, describe=lambda result: [])
    with pytest.raises(ceflow.RunError) as raised:
        ceflow.run(document(), tmp_path / "out")
    found = raised.value.run.collected["c"]
    assert found["warnings"] == ["the stage 'b' is not done"]
    assert [curve["of"] for curve in found["curves"]] == [A]

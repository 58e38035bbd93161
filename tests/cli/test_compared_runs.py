"""What is said of runs side by side."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import ceflow
from ceflow.cli import main
from ceflow.spec import (
    Bottleneck,
    Document,
    Flow,
    Gaussian,
    Mlp,
    Search,
    Sweep,
    Train,
    Variance,
)


def document(width: int, seed: int = 0) -> Document:
    return Document(
        name=f"w{width}",
        seed=seed,
        model=Mlp(widths=(width, width), inputs=3, outputs=1),
        stages={
            "v": Variance(ratios=(0.5, 1.0), method="sample", draws=300),
            "best": Search(variance="v"),
        },
    )


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    for width in (20, 30):
        ceflow.run(document(width), folder / f"w{width}")
    return folder


def invoke(*arguments: object) -> Any:
    return CliRunner(env={"COLUMNS": "120"}).invoke(main, ["compare", *map(str, arguments)])


def test_what_differs_is_shown_with_its_difference(runs):
    shown = invoke(runs / "w20", runs / "w30").stdout
    one, two = (ceflow.run(document(w), runs / f"w{w}").results["v"] for w in (20, 30))
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    assert lines["model.widths"] == ["model.widths", "20", "20", "30", "30"]
    assert "seed" not in lines
    apart = f"{two.alpha - one.alpha:.4g}"
    assert apart in lines["v.alpha"]
    assert f"{two.alpha / one.alpha:.4g}" == lines["v.alpha"][-1]
    assert lines["v.alpha"].count("±") == 3
    assert "the law of the NTK's variance" in shown
    assert "a w20   b w30" in shown
    assert len(lines["v"]) == 9  # the stage, and four times a number with its unit


def test_the_differences_as_json(runs):
    found = json.loads(invoke(runs / "w20", runs / "w30", runs / "w20", "--json").stdout)
    first, second = str(runs / "w20"), str(runs / "w30")
    assert found["runs"] == [first, second, f"{first} (2)"]
    assert found["document"]["model.widths"] == [[20, 20], [30, 30], [20, 20]]
    assert found["results"]["best.baseline.parameters"] == [480, 1020, 480]
    assert "v.method" not in found["results"]
    assert all(each > 0 for each in found["seconds"]["v"])


def test_the_same_run_twice_differs_in_nothing(runs):
    shown = invoke(runs / "w20", runs / "w20").stdout
    assert "the documents are the same" in shown
    assert "numbers are the same" in shown


def test_what_cannot_be_compared_is_said(runs, tmp_path):
    assert "name two runs or more" in invoke(runs / "w20").stderr
    result = invoke(runs / "w20", tmp_path)
    assert (result.exit_code, result.stderr.split(":")[0]) == (2, "CE501")
    paths: dict[str, Any] = {"seed": [0, 1]}
    ceflow.run(document(20).replaced({"sweep": Sweep(**paths)}), tmp_path / "sweep")
    result = invoke(tmp_path / "sweep", tmp_path / "sweep/seed=1")
    assert "is a sweep of 2 runs" in result.stderr
    assert f"such as {tmp_path}/sweep/seed=0" in result.stderr
    assert "v.alpha" in invoke(tmp_path / "sweep/seed=0", tmp_path / "sweep/seed=1").stdout


def test_curves_over_steps_and_over_time_are_not_laid_over_each_other(tmp_path):
    wide = Mlp(widths=(math.inf,), weight_variance=1.0)
    model = Bottleneck(size=2, encoder=wide, decoder=wide)
    stages = {"flow": Flow(time=1.0, width=50), "train": Train(steps=20, width=50)}
    for name, stage in stages.items():
        data = Gaussian(train=4, inputs=3, outputs=1)
        ceflow.run(Document(data=data, model=model, stages={"a": stage}), tmp_path / name)
    shown = invoke(tmp_path / "flow", tmp_path / "train").stdout
    assert "a.loss is over time μt in flow, step in train: one figure cannot show both" in shown
    assert "loss by" not in shown

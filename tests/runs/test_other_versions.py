"""Runs that another version of ceflow, or a hand, has written: shown and mended."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import ceflow
from ceflow.cli import main
from ceflow.runs.record import digest

DOCUMENT = ceflow.loads("""
name = "small"
model = {type = "mlp", widths = [20, 20], inputs = 3, outputs = 1}
[stages]
alpha = {type = "variance"}
best = {type = "search", variance = "alpha"}
""")
SWEPT = ceflow.loads("""
name = "swept"
model = {type = "mlp", widths = [20, 20], inputs = 3, outputs = 1}
stages.alpha.type = "variance"
sweep = {"model.widths" = [[20, 20], [30, 30]]}
collect.c = {x = "model.widths", y = "stages.alpha.alpha"}
""")
Tables = dict[str, Any]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ceflow.run(DOCUMENT, tmp_path_factory.mktemp("runs") / "small").path


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    for name in ("run.json", "results.json", "resolved.toml", "spec.toml"):
        (tmp_path / name).write_bytes((whole / name).read_bytes())
    return tmp_path


def edit(path: Path, change: Callable[[Tables], Any]) -> None:
    table = json.loads(path.read_text())
    change(table)
    path.write_text(json.dumps(table))


def edit_results(run: Path, change: Callable[[Tables], Any], *, hashed: bool) -> None:
    """Change what the stages found, and their hashes with them; or take those away."""
    edit(run / "results.json", lambda table: change(table["stages"]))
    found = json.loads((run / "results.json").read_text())["stages"]

    def rehash(state: Tables) -> None:
        for name, stage in state["stages"].items():
            del stage["files"], stage["results"]
            if hashed:
                stage["results"] = digest(found.get(name))

    edit(run / "run.json", rehash)


def shown(run: Path) -> str:
    """Show a run; an error would be no more than a sentence either."""
    result = CliRunner().invoke(main, ["show", str(run)])
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return " ".join(result.output.split())


@pytest.mark.parametrize("hashed", [True, False])
def test_what_is_not_known_of_results_is_left_alone(run, hashed):
    edit_results(run, lambda stages: stages["alpha"].update(novel={"x": 1}), hashed=hashed)
    written = (run / "results.json").read_bytes()
    assert "alpha" in shown(run)
    assert "damaged" not in shown(run)
    assert ceflow.run(DOCUMENT, run).results["alpha"].alpha > 0
    assert (run / "results.json").read_bytes() == written


@pytest.mark.parametrize("hashed", [True, False])
def test_a_stage_that_lacks_what_is_needed_is_done_again(run, whole, hashed):
    edit_results(run, lambda stages: stages["alpha"].pop("method"), hashed=hashed)
    said = shown(run)
    assert "stage 'alpha': another version of ceflow wrote its results" in said
    assert "method is missing" in said
    assert "primal" in said  # of the other stage
    assert ceflow.run(DOCUMENT, run).results["alpha"].method
    assert (run / "results.json").read_bytes() == (whole / "results.json").read_bytes()


def test_collected_tables_are_read_in_the_same_way(tmp_path):
    ceflow.run(SWEPT, tmp_path)
    before = (tmp_path / "results.json").read_text()

    def without_hash(change: Callable[[Tables], Any]) -> None:
        edit(tmp_path / "results.json", lambda table: change(table["collect"]["c"]))
        edit(tmp_path / "run.json", lambda state: state.pop("results"))

    without_hash(lambda table: table["points"][0].update(novel=1))
    assert ceflow.run(SWEPT, tmp_path).collected["c"].x == "model.widths"
    assert "novel" in (tmp_path / "results.json").read_text()
    edit(tmp_path / "results.json", lambda table: table["collect"]["c"].pop("y"))
    assert "y is missing" in shown(tmp_path)
    assert ceflow.run(SWEPT, tmp_path).collected["c"].y == "stages.alpha.alpha"
    assert (tmp_path / "results.json").read_text() == before


EDITED: dict[str, tuple[str, Callable[[Tables], Any], str]] = {
    "seconds past all numbers": (
        "run.json",
        lambda state: state["stages"]["alpha"].update(seconds=float("inf")),
        "run.json is damaged",
    ),
    "facts that are none": (
        "run.json",
        lambda state: state["files"].update({"resolved.toml": 5}),
        "run.json is damaged",
    ),
    "a stage of no document": (
        "results.json",
        lambda table: table["stages"].update(ghost={"x": 1}),
        "alpha",
    ),
    "runs that are none": ("results.json", lambda table: table.update(runs=5), "is damaged"),
    "a list of results": ("results.json", lambda table: table.update(stages=[]), "is damaged"),
}


@pytest.mark.parametrize("name", EDITED)
def test_what_a_hand_has_written_ends_in_a_sentence(run, name):
    file, change, said = EDITED[name]
    edit(run / file, change)
    assert said in shown(run).replace("\n", "")
    assert set(ceflow.run(DOCUMENT, run).results) == {"alpha", "best"}

"""Stages that are repeated in an unfinished or damaged run, and what rests on them."""

import json
from typing import Any

import numpy as np
import pytest

import ceflow
from ceflow import stages
from ceflow.events import Event, StageFinished
from ceflow.report import write_figures
from ceflow.runs import reopen
from ceflow.runs.loop import Loop
from ceflow.spec import Document, Gaussian, Kernel, Mlp, Search, Variance
from ceflow.store import RunDirectory

ANALYTIC, NETWORK = Kernel(), Mlp(widths=(8,))


def document(stages: dict[str, Any], model: Any = NETWORK) -> Document:
    data = Gaussian(train=4, inputs=3, outputs=1)
    return Document(name="small", data=data, model=model, stages=stages)


def test_what_rests_on_another_result_is_done_again_with_its_files(tmp_path, monkeypatch):
    """A fit, a search by it, a tiled kernel of its answer, and one that only refers to that."""
    alphas = iter([3.0, 9.0])
    kind = type(stages.KINDS[Variance])
    fitted = kind.run

    def other(self: Any, job: Any) -> Any:
        return fitted(self, job).model_copy(update={"alpha": next(alphas)})

    monkeypatch.setattr(kind, "run", other)
    chain = {
        "alpha": Variance(ratios=(0.5, 1.0)),
        "best": Search(variance="alpha"),
        "tiled": Kernel(method="empirical", model="best.primal", tile=2),
        "compared": Kernel(method="empirical", reference="tiled"),
        "apart": ANALYTIC,
    }
    given = document(stages=chain, model=Mlp(widths=(30, 30)))
    first = dict(ceflow.run(given, tmp_path / "run").results)
    path = tmp_path / "run/results.json"
    path.write_text(path.read_text().replace('"alpha": 3.0', '"alpha": 3.5', 1))
    begun = []

    def observe(event: Event) -> None:
        if isinstance(event, StageFinished) and event.seconds is not None:
            begun.append(event.stage)

    again = ceflow.run(given, tmp_path / "run", observe=observe)
    assert begun == ["alpha", "best", "tiled", "compared"]
    assert again.results["best"].primal.widths != first["best"].primal.widths
    assert again.results["tiled"]["trace"] != first["tiled"]["trace"]
    alone = ceflow.run(document(stages={"apart": ANALYTIC}, model=given.model), tmp_path / "alone")
    assert alone.results["apart"]["trace"] == again.results["apart"]["trace"]


def test_so_it_is_if_the_repeated_stage_is_interrupted(tmp_path, monkeypatch):
    """Whether before it ends, or while what rests on it is forgotten."""
    alphas = iter([3.0, KeyboardInterrupt, 9.0, 9.0, 9.0])
    kind = type(stages.KINDS[Variance])
    fitted = kind.run

    def other(self: Any, job: Any) -> Any:
        alpha: Any = next(alphas)
        if alpha is KeyboardInterrupt:
            raise KeyboardInterrupt
        return fitted(self, job).model_copy(update={"alpha": alpha})

    monkeypatch.setattr(kind, "run", other)
    chain = {
        "alpha": Variance(ratios=(0.5, 1.0)),
        "best": Search(variance="alpha"),
        "k": Kernel(method="empirical", model="best.primal"),
        "compared": Kernel(method="empirical", reference="k"),
    }
    given = document(stages=chain, model=Mlp(widths=(30, 30)))
    ceflow.run(given, tmp_path / "run")
    path = tmp_path / "run/results.json"
    path.write_text(path.read_text().replace('"alpha": 3.0', '"alpha": 3.5', 1))
    with pytest.raises(KeyboardInterrupt):
        ceflow.run(given, tmp_path / "run")
    clear, cleared = Loop._clear, []

    def interrupted(self: Any, name: str) -> None:
        cleared.append(name)
        if cleared == ["best"]:
            raise KeyboardInterrupt
        clear(self, name)

    monkeypatch.setattr(Loop, "_clear", interrupted)
    with pytest.raises(KeyboardInterrupt):
        ceflow.run(given, tmp_path / "run")
    begun = []

    def observe(event: Event) -> None:
        if isinstance(event, StageFinished) and event.seconds is not None:
            begun.append(event.stage)

    again = ceflow.run(given, tmp_path / "run", observe=observe)
    assert begun == list(chain)
    alone = ceflow.run(given, tmp_path / "alone")
    assert dict(again.results) == dict(alone.results)


@pytest.mark.parametrize("wrong", ["another network", "no store"])
def test_tiles_of_another_network_or_damaged_ones_are_begun_anew(tmp_path, wrong):
    given = document(stages={"k": Kernel(method="empirical", tile=2)})
    run = ceflow.run(given, tmp_path / "run")
    whole = run.array("k")
    state = json.loads((run.path / "run.json").read_text()) | {"state": "running", "stages": {}}
    (run.path / "run.json").write_text(json.dumps(state))
    meta = run.path / "arrays/k.zarr/zarr.json"
    facts = json.loads(meta.read_text())
    facts["attributes"]["tiles"]["identity"] = "another"
    meta.write_text(json.dumps(facts) if wrong == "another network" else "")
    notices = []
    again = ceflow.run(given, run.path, observe=lambda e: notices.append(getattr(e, "text", "")))
    assert "arrays/k.zarr holds no tiles of this kernel: it is begun anew" in notices
    np.testing.assert_array_equal(again.array("k"), whole)


def test_figures_of_a_stage_whose_name_begins_like_another_stay(tmp_path):
    stages: dict[str, Any] = {name: Variance(ratios=(0.5, 1.0)) for name in ("v", "v-law")}
    given = Document(model=Mlp(widths=(8,), inputs=2, outputs=1), stages=stages)
    run = ceflow.run(given, tmp_path)
    write_figures(RunDirectory(run.path), reopen(RunDirectory(run.path)))
    path = run.path / "results.json"
    found = json.loads(path.read_text())
    found["stages"]["v"]["alpha"] = 1.0
    path.write_text(json.dumps(found))
    ceflow.run(given, tmp_path)
    assert [each.name for each in (run.path / "figures").iterdir()] == ["v-law-law.svg"]

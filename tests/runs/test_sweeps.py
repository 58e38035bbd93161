"""Runs of a sweep: a directory each, and all results together."""

import json
from typing import Any

import pytest

import ceflow
from ceflow import stages
from ceflow.spec import Document, Mlp, Sweep, Variance, load

MODEL = Mlp(widths=[8, 8], inputs=2, outputs=1)


def swept():
    paths: dict[str, Any] = {"model.widths": [[8, 8], [20, 10]]}
    sweep = Sweep(**paths)
    return Document(model=MODEL, stages={"alpha": Variance(ratios=[0.5, 1.0])}, sweep=sweep)


def test_every_run_has_a_directory_that_is_a_run(tmp_path):
    run = ceflow.run(swept(), tmp_path / "out")
    assert list(run.results) == ["widths=8-8", "widths=20-10"]
    for name in run.results:
        alone = ceflow.run(load(run.path / name / "resolved.toml"), tmp_path / f"again-{name}")
        assert dict(alone.results) == run.results[name]


def test_results_of_all_runs_stand_together(tmp_path):
    run = ceflow.run(swept(), tmp_path / "out")
    stored = json.loads((run.path / "results.json").read_text())
    assert stored == {"stages": {}, "runs": dict(run.results)}


def test_a_sweep_that_failed_goes_on_where_it_stopped(tmp_path, monkeypatch):
    kind, calls = stages.KINDS[Variance], []

    def failing(job):
        calls.append(job)
        if len(calls) == 2:
            raise RuntimeError("no more")
        return kind.run(job)

    monkeypatch.setitem(stages.KINDS, Variance, kind._replace(run=failing))
    with pytest.raises(RuntimeError):
        ceflow.run(swept(), tmp_path / "out")
    assert json.loads((tmp_path / "out" / "run.json").read_text())["state"] == "failed"
    run = ceflow.run(swept(), tmp_path / "out")
    assert (len(calls), len(run.results)) == (3, 2)
    assert json.loads((tmp_path / "out" / "run.json").read_text())["state"] == "done"


def test_an_array_that_is_not_there_is_named(tmp_path):
    run = ceflow.run(swept(), tmp_path / "out")
    with pytest.raises(KeyError, match="left no array"):
        run.array("widths=8-8/alpha")

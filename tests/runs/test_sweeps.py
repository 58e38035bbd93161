"""Runs of a sweep: a directory each, and all results together."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from small_runs import on_operations
from stubs import stub

import ceflow
from ceflow import stages
from ceflow.events import StageStarted
from ceflow.runs import known_results, reopen
from ceflow.spec import Document, Mlp, Sweep, Variance, load
from ceflow.store import LeaseLost, RunDirectory
from ceflow.store.lease import Lease

MODEL = Mlp(widths=[8, 8], inputs=2, outputs=1)


def swept(*more):
    paths: dict[str, Any] = {"model.widths": [[8, 8], [20, 10], *more]}
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


@pytest.fixture
def fail_on(monkeypatch):
    """Let the variance stage fail at some widths; returns the widths at which it was tried."""

    kind = stages.KINDS[Variance]

    def failing_on(*widths, error=RuntimeError):
        tried = []

        def failing(job):
            tried.append(job.model.widths[0])
            if tried[-1] in widths:
                raise error("no more")
            return kind.run(job)

        stub(monkeypatch, Variance, run=failing)
        return tried

    return failing_on


def state_of(folder):
    return json.loads((folder / "run.json").read_text())


def test_a_sweep_goes_on_where_a_run_fails_and_a_rerun_does_only_that_one(tmp_path, fail_on):
    tried = fail_on(8)
    with pytest.raises(ceflow.RunError, match="run 'widths=8-8', stage 'alpha'") as raised:
        ceflow.run(swept(), tmp_path / "out")
    assert tried == [8, 20]
    assert raised.value.run.results["widths=8-8"] == {}
    assert raised.value.run.results["widths=20-10"]["alpha"]["alpha"] > 0
    state = state_of(tmp_path / "out")
    failed = {"run": "widths=8-8", "stage": "alpha", "error": "RuntimeError: no more"}
    assert (state["state"], state["runs"]) == (
        "failed",
        {"total": 2, "done": 1, "failed": [failed]},
    )
    tried = fail_on()
    run = ceflow.run(swept(), tmp_path / "out")
    assert (tried, len(run.results)) == ([8], 2)
    state = state_of(tmp_path / "out")
    assert (state["state"], state["runs"]) == ("done", {"total": 2, "done": 2, "failed": []})


def test_fail_fast_ends_a_sweep_at_the_first_failure(tmp_path, fail_on):
    tried = fail_on(8, 20)
    with pytest.raises(ceflow.RunError):
        ceflow.run(swept(), tmp_path / "out", fail_fast=True)
    assert tried == [8]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("lost", [None, "spec.toml", "results.json", "run.json"])
def test_a_resumed_sweep_that_ends_early_keeps_what_was_done(tmp_path, fail_on, error, lost):
    fail_on(8)
    document = swept([12, 10])
    with pytest.raises(ceflow.RunError) as raised:
        ceflow.run(document, tmp_path)
    kept = dict(raised.value.run.results)
    if lost:
        (tmp_path / "widths=20-10" / lost).unlink()
    if lost in ("results.json", "run.json"):  # then it is not known what it found
        del kept["widths=20-10"]
    tried = fail_on(8, error=error)
    with pytest.raises((ceflow.RunError, KeyboardInterrupt)):
        ceflow.run(document, tmp_path, fail_fast=True)
    assert tried == [8]
    found = json.loads((tmp_path / "results.json").read_text())["runs"]
    assert list(found.items()) == list(kept.items())
    assert state_of(tmp_path)["runs"]["done"] == len(kept) - 1


def test_a_sweep_says_how_far_it_is_and_when_it_will_end(tmp_path):
    seen = []

    def observe(event):
        if isinstance(event, StageStarted):
            seen.append(state_of(tmp_path / "out")["runs"])

    ceflow.run(swept(), tmp_path / "out", observe=observe)
    first, second = seen
    assert first == {"total": 2, "done": 0, "failed": []}
    assert (second["total"], second["done"]) == (2, 1)
    assert datetime.fromisoformat(second["ends"]) > datetime(2026, 1, 1, tzinfo=UTC)


def test_what_a_sweep_under_way_has_done_is_shown(tmp_path, capsys):
    """Between its two files it may be killed, or looked at, at any moment: after each run."""
    shown = []

    def observe(event):
        if isinstance(event, StageStarted):
            directory = RunDirectory(tmp_path / "out")
            known, lost = known_results(directory, reopen(directory).document.stages)
            shown.append((list(known.get("runs", {})), lost))

    ceflow.run(swept([10, 10]), tmp_path / "out", observe=observe)
    assert [lost for _, lost in shown] == [{}] * 3
    assert shown[-1][0][:1] == ["widths=8-8"]


def test_an_array_that_is_not_there_is_named(tmp_path):
    run = ceflow.run(swept(), tmp_path / "out")
    with pytest.raises(KeyError, match="left no array"):
        run.array("widths=8-8/alpha")


def untimed(folder):
    """Every file with its bytes, but for the states, which have times."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "run.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", ["results.json", "run.json", "widths=8-8/results.json"])
@pytest.mark.parametrize("content", [None, "", '{"stages": {}, "runs": {"a": 1}}'])
def test_what_is_damaged_of_a_sweep_is_mended(tmp_path, name, content):
    folder = ceflow.run(swept(), tmp_path / "out").path
    before = untimed(folder)
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    assert len(ceflow.run(swept(), folder).results) == 2
    assert untimed(folder) == before


def test_a_finished_sweep_is_not_touched(tmp_path, monkeypatch):
    run = ceflow.run(swept(), tmp_path / "out")

    def never():
        raise AssertionError("a file was changed")

    seen = on_operations(monkeypatch, tmp_path, never)
    again = ceflow.run(swept(), tmp_path / "out")
    assert (again.results, again.collected, seen) == (run.results, run.collected, [])


def test_a_run_that_another_process_is_at_work_in_fails_alone(tmp_path):
    ceflow.run(swept(), tmp_path / "out")
    (tmp_path / "out/widths=8-8/results.json").unlink()
    held = Lease(tmp_path / "out" / "widths=8-8")
    try:
        with pytest.raises(ceflow.RunError, match=r"widths=8-8': .* is being worked on by proc"):
            ceflow.run(swept(), tmp_path / "out")
    finally:
        held.release()
    assert len(ceflow.run(swept(), tmp_path / "out").results) == 2


def test_a_directory_at_work_is_refused_or_by_default_the_next_is_taken(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    held = Lease(tmp_path / "runs" / "untitled")
    with pytest.raises(ceflow.SpecError, match="is being worked on by process"):
        ceflow.run(swept(), "runs/untitled")
    assert ceflow.run(swept()).path.name == "untitled-2"
    held.release()
    assert ceflow.run(swept()).path.name == "untitled"


def test_a_process_whose_lease_is_lost_stops_writing(tmp_path):
    document, seen = swept(), []

    def observe(event):
        if isinstance(event, StageStarted) and not seen:
            seen.append(event)
            lease = tmp_path / "out" / "widths=8-8" / ".lease"
            lease.write_text(lease.read_text().replace('"token": "', '"token": "not-'))

    with pytest.raises(LeaseLost, match="was taken over by process"):
        ceflow.run(document, tmp_path / "out", observe=observe)
    assert json.loads((tmp_path / "out/widths=8-8/results.json").read_text()) == {"stages": {}}

"""What is said of a run that is not done: how it stands, and what to do about it."""

import json
import os
import time
from dataclasses import asdict, replace
from types import SimpleNamespace

import pytest

from ceflow.report import trouble
from ceflow.report.trouble import standing
from ceflow.store import lease

RUNNING = {"state": "running", "stages": {}}
SWEEP = RUNNING | {"runs": {"total": 4, "done": 1, "failed": [], "ends": "2026-01-02T03:04:05"}}
FINISH = "run the same command again to finish it"
PARENT = {"pid": os.getppid(), "born": lease._born(os.getppid())}


def left(folder, silent, keys):
    """The lease of another process, that gave a sign of life so many seconds ago."""
    holder = replace(lease._this_process(), token="theirs", host="wide", **keys)
    (folder / lease.LEASE_FILE).write_text(json.dumps(asdict(holder)))
    then = time.time() - silent
    os.utime(folder / lease.LEASE_FILE, (then, then))
    return str(holder)


@pytest.mark.parametrize(
    ("keys", "silent", "said", "is_alive"),
    [
        (PARENT, 3600, "the run is under way in {holder}", True),
        ({"pid": 1, "born": "long ago"}, 1, "the run was killed: {holder} is gone", False),
        (
            {"machine": "other"},
            125,
            "the run is under way elsewhere: the last sign of life of {holder} was 2 min 5 s ago",
            True,
        ),
        (
            {"machine": "other"},
            3605,
            "the run was killed or cut off: the last sign of life of {holder} was 1 h 0 min ago",
            False,
        ),
    ],
)
def test_of_a_run_without_an_end_it_is_said_whether_its_process_is_alive(
    tmp_path, keys, silent, said, is_alive
):
    said = said.format(holder=left(tmp_path, silent, keys))
    ending = "" if is_alive else f"; {FINISH}"
    assert standing(tmp_path, RUNNING) == said + ending
    far = ", 1 of 4 runs are done" + (", the last by about 2026-01-02T03:04:05" if is_alive else "")
    assert standing(tmp_path, SWEEP) == said + far + ending


def test_a_run_without_a_process_was_killed_or_met_a_full_disk(tmp_path, monkeypatch):
    said = "the run was killed, or could not record how it ended, as on a full disk"
    assert standing(tmp_path, RUNNING) == f"{said}; {FINISH}"
    monkeypatch.setattr(trouble.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    said = "the run could not record how it ended: the disk is full"
    assert standing(tmp_path, RUNNING) == f"{said}; {FINISH}"


def test_a_damaged_run_is_mended_where_it_is(tmp_path):
    said = f"run its document again with --out {tmp_path}: the damaged stages are run again"
    done = {"state": "done", "stages": {}}
    assert standing(tmp_path, done) == f"the run is damaged; {said}"


def test_a_run_at_work_in_this_process_is_under_way(tmp_path):
    held = lease.Lease(tmp_path)
    assert standing(tmp_path, RUNNING) == f"the run is under way in {held.holder}"
    held.release()

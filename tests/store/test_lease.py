"""One process at a time has a lease, whoever dies when."""

import errno
import json
import os
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, replace

import pytest

from ceflow.store import Busy, LeaseLost, lease
from ceflow.store.lease import LEASE_FILE, STALE_SECONDS, Lease


@pytest.fixture(scope="module")
def dead():
    """The number of a process that is no more."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def leave(path, **keys):
    """The lease of another process."""
    holder = replace(lease._this_process(), **({"token": "theirs"} | keys))
    path.write_text(json.dumps(asdict(holder)))
    return holder


def entries(folder):
    return sorted(path.name for path in folder.iterdir())


def test_one_has_it_until_it_is_released(tmp_path):
    first = Lease(tmp_path / "new")
    with pytest.raises(Busy, match=f"process {os.getpid()} on .*, since .* UTC"):
        Lease(tmp_path / "new")
    first.require()
    first.release()
    assert entries(tmp_path / "new") == []
    Lease(tmp_path / "new").release()


@pytest.mark.parametrize(
    ("keys", "silent", "is_taken"),
    [
        ({"pid": None}, 0, True),  # that of a process that is no more
        ({"pid": 1, "born": "long ago"}, 0, True),  # its number is another process's by now
        ({}, 0, True),  # of this process, but none that it knows of
        ({"pid": os.getppid(), "born": lease._born(os.getppid())}, 10 * STALE_SECONDS, False),
        ({"machine": "other"}, 0, False),
        ({"machine": "other"}, STALE_SECONDS / 2, False),
        ({"machine": "other"}, 2 * STALE_SECONDS, True),
    ],
)
def test_it_is_taken_over_from_the_dead_alone(tmp_path, dead, keys, silent, is_taken):
    keys = {key: dead if value is None else value for key, value in keys.items()}
    leave(tmp_path / LEASE_FILE, **keys)
    then = time.time() - silent
    os.utime(tmp_path / LEASE_FILE, (then, then))
    if is_taken:
        Lease(tmp_path).release()
        assert entries(tmp_path) == []
    else:
        with pytest.raises(Busy):
            Lease(tmp_path)
        assert entries(tmp_path) == [LEASE_FILE]


@pytest.mark.parametrize("depth", [1, 2])
def test_who_died_while_taking_over_is_no_obstacle(tmp_path, dead, depth):
    for level in range(depth + 1):
        leave(tmp_path / (LEASE_FILE + ".theirs" * level), pid=dead)
    Lease(tmp_path).release()
    assert entries(tmp_path) == []


def test_who_is_taking_over_is_waited_for(tmp_path, dead):
    leave(tmp_path / LEASE_FILE, pid=dead)
    leave(tmp_path / f"{LEASE_FILE}.theirs", token="another", machine="other")
    with pytest.raises(Busy):
        Lease(tmp_path)


def test_who_has_lost_it_may_not_write_nor_release_it(tmp_path):
    first = Lease(tmp_path)
    theirs = leave(tmp_path / LEASE_FILE)
    with pytest.raises(LeaseLost, match="was taken over by process"):
        first.require()
    first.release()
    assert json.loads((tmp_path / LEASE_FILE).read_text()) == asdict(theirs)


def test_a_lease_that_cannot_be_read_is_somebodys_for_a_while(tmp_path):
    (tmp_path / LEASE_FILE).write_text("{")
    with pytest.raises(Busy):
        Lease(tmp_path)
    then = time.time() - 2 * STALE_SECONDS
    os.utime(tmp_path / LEASE_FILE, (then, then))
    Lease(tmp_path).release()


def no_links(*_):
    raise OSError(errno.EPERM, "Operation not permitted")


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("stale", [True, False])
def test_of_many_at_once_one_has_it(tmp_path, monkeypatch, dead, linked, stale):
    if not linked:
        monkeypatch.setattr(os, "link", no_links)
    for round in range(20):
        folder, found = tmp_path / str(round), []
        folder.mkdir()
        if stale:
            leave(folder / LEASE_FILE, pid=dead)
        start = threading.Barrier(6)

        def take(folder=folder, found=found, start=start):
            start.wait()
            with suppress(Busy):
                found.append(Lease(folder))

        threads = [threading.Thread(target=take) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        (winner,) = found
        winner.require()
        winner.release()
        assert entries(folder) == []


def test_signs_of_life_go_on_until_it_is_lost(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    held = Lease(tmp_path)
    os.utime(tmp_path / LEASE_FILE, (1, 1))
    while (tmp_path / LEASE_FILE).stat().st_mtime == 1:
        time.sleep(0.01)
    leave(tmp_path / LEASE_FILE)
    while not held.is_lost:
        time.sleep(0.01)
    held.release()

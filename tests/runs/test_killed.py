"""A process may die at any moment: what it leaves is gone on with, to the same bits."""

import itertools
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import (
    TEXT,
    Killed,
    content,
    copied,
    document,
    killed_at,
    on_operations,
    without_flowing,
)

import ceflow
from ceflow.store import WriteError


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    without_flowing(monkeypatch)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing happened to."""
    with pytest.MonkeyPatch.context() as patch:
        without_flowing(patch)
        return ceflow.run(document(), tmp_path_factory.mktemp("whole") / "run").path


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 5])
def test_killed_before_any_change_of_a_file_a_run_goes_on_to_the_same_bits(whole, tmp_path, step):
    last = 0
    for last in itertools.count(0, step):
        folder = tmp_path / str(last)
        with pytest.MonkeyPatch.context() as patch:
            killed_at(patch, folder, last)
            try:
                ceflow.run(document(), folder)
            except Killed:
                pass
            else:
                break
        ceflow.run(document(), folder)
        assert content(folder) == content(whole), last
        assert json.loads((folder / "run.json").read_text())["state"] == "done"
    assert last > 50  # there are about as many


def test_a_killed_process_is_not_told_what_it_did_not_do(tmp_path):
    """The operations that are stopped above are those by which files change."""
    with pytest.MonkeyPatch.context() as patch:
        killed_at(patch, tmp_path / "run", 0)
        with pytest.raises(Killed):
            ceflow.run(document(), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_finished_run_is_not_touched(whole):
    def never():
        raise AssertionError("a file was changed")

    with pytest.MonkeyPatch.context() as patch:
        seen = on_operations(patch, whole, never)
        assert ceflow.run(document(), whole).results["k"]["trace"] > 0
    assert seen == []


@pytest.mark.parametrize("last", [3, 8, 20, 35])
def test_a_full_disk_is_a_sentence_and_no_end(whole, tmp_path, last):
    folder, seen = tmp_path / "run", []

    def full():
        if len(seen) > last:
            raise OSError(28, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        seen = on_operations(patch, folder, full)
        with pytest.raises((WriteError, ceflow.RunError, ceflow.SpecError), match="no space left"):
            ceflow.run(document(), folder)
    ceflow.run(document(), folder)
    assert content(folder) == content(whole)


def flip(path: Path) -> None:
    found = bytearray(path.read_bytes())
    found[len(found) // 2] ^= 1
    path.write_bytes(found)


def to_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES = {
    "missing": Path.unlink,
    "empty": lambda path: path.write_bytes(b""),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:-5]),
    "edited": flip,
    "no text": lambda path: path.write_bytes(b"\xff\xfe{"),
    "other JSON": lambda path: path.write_bytes(b"[1]"),
    "a folder": to_folder,
}
FILES = (
    *("run.json", "results.json", "resolved.toml", "spec.toml", "optimal.toml"),
    *("arrays/k.zarr/zarr.json", "arrays/k.zarr/c/0/0", "arrays/tiles.zarr/c/0/1"),
    *("arrays/tiles.zarr/zarr.json", "metrics/course.jsonl"),
)


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", FILES)
def test_what_is_damaged_is_done_again(whole, tmp_path, file, damage):
    folder = copied(whole, tmp_path / "run")
    DAMAGES[damage](folder / file)
    ceflow.run(document(), folder)
    assert content(folder) == content(whole)


@pytest.mark.parametrize("edit", ['{"state": 1}', '{"state": "done", "stages": {"k": 3}}', "{}"])
def test_a_state_of_another_form_is_no_state(whole, tmp_path, edit):
    folder = copied(whole, tmp_path / "run")
    (folder / "run.json").write_text(edit)
    ceflow.run(document(), folder)
    assert content(folder) == content(whole)


@pytest.mark.parametrize("name", ["arrays", "metrics"])
def test_a_stage_whose_files_are_gone_is_done_again_and_says_so(whole, tmp_path, name):
    folder, said = copied(whole, tmp_path / "run"), []
    for path in sorted((folder / name).rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    (folder / name).rmdir()
    ceflow.run(document(), folder, observe=lambda event: said.append(getattr(event, "text", "")))
    assert any("is gone: it is run again" in text for text in said)
    assert content(folder) == content(whole)


KILLING = """
import os, signal, sys
sys.path += sys.argv[3:]
import pytest, small_runs, ceflow
from pathlib import Path
patch, folder, last = pytest.MonkeyPatch(), Path(sys.argv[1]), int(sys.argv[2])
small_runs.without_flowing(patch)
seen = []
def stop():
    if len(seen) > last:
        os.kill(os.getpid(), signal.SIGKILL)
seen = small_runs.on_operations(patch, folder, stop)
ceflow.run(small_runs.document(), folder)
"""


@pytest.mark.slow
@pytest.mark.parametrize("last", range(0, 60, 4))
def test_killed_by_the_system_a_run_goes_on_to_the_same_bits(whole, tmp_path, last):
    folder = tmp_path / "run"
    here, above = map(str, Path(__file__).parents[:2])
    command = [sys.executable, "-c", KILLING, str(folder), str(last), here, above]
    killed = subprocess.run(command, capture_output=True, env=os.environ)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    ceflow.run(document(), folder)
    assert content(folder) == content(whole)


@pytest.mark.slow
def test_of_two_processes_the_second_is_told_of_the_first(tmp_path):
    text = TEXT.replace(
        'k = {type = "kernel"}', 'k = {type = "kernel", method = "mean", draws = 9}'
    )
    (tmp_path / "spec.toml").write_text(text)
    command = [sys.executable, "-m", "ceflow", "run", "spec.toml", "--out", "out"]
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    while not (tmp_path / "out/run.json").exists():
        assert first.poll() is None, first.communicate()
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert second.returncode == 2
    assert f"out is being worked on by process {first.pid} on " in second.stderr
    first.communicate()
    assert first.returncode == 0
    assert not list((tmp_path / "out").glob(".*"))

"""A training that is cut off goes on from its checkpoint, to the same bits."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from small_runs import content

import ceflow
from ceflow.events import Notice, Progress
from ceflow.spec import Document, loads
from ceflow.stages.train import checkpoints
from ceflow.store import RunDirectory
from ceflow.training import loop

TEXT = """
precision = "float32"
seed = 3

[data]
source = "digits"
train = 24
test = 6

[model]
type = "network"
layers = [
    {type = "convolution", channels = 2},
    "batch-norm",
    "relu",
    {type = "dropout", rate = 0.2},
    "global-average",
    {type = "dense"},
]

[stages.t]
type = "train"
steps = 14
batch = 5
optimizer = "adam"
learning_rate = 0.05
average = 0.9
replicas = 2
moments = [4, 9]
record = ["drift", "predictions"]
"""


class Cut(Exception):
    """Raised in a run at some step."""


def document(text: str = TEXT) -> Document:
    return loads(text)


@pytest.fixture(autouse=True)
def often(monkeypatch):
    """A checkpoint after every call, of two steps at most."""
    monkeypatch.setattr(checkpoints, "SECONDS", 0.0)
    monkeypatch.setattr(checkpoints, "LARGEST_SHARE", float("inf"))
    monkeypatch.setattr(loop, "CALL_SECONDS", 0.0)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing happened to, and that wrote no checkpoint."""
    return ceflow.run(document(), tmp_path_factory.mktemp("whole") / "run").path


def cut_at(folder: Path, step: int, text: str = TEXT) -> None:
    """Run until this many steps are done, and die like a process: nothing is tidied up."""

    def observe(event: Any) -> None:
        if isinstance(event, Progress) and event.done >= step:
            raise Cut

    with pytest.raises((Cut, ceflow.RunError)):
        ceflow.run(document(text), folder, observe=observe)


@pytest.mark.parametrize("step", [1, 5, pytest.param(9, marks=pytest.mark.slow), 14])
def test_it_goes_on_to_the_same_bits(whole, tmp_path, step):
    """The step at which it is cut is not kept; those before are."""
    folder, said = tmp_path / "run", []
    cut_at(folder, step)
    kept = (folder / "checkpoints/t.bin").exists()
    assert kept == (step > 1)
    ceflow.run(document(), folder, observe=lambda event: said.append(event))
    notices = [event.text for event in said if isinstance(event, Notice)]
    assert any("it goes on from its checkpoint at step" in text for text in notices) == kept
    assert content(folder) == content(whole)
    assert not (folder / "checkpoints").exists()


def test_it_does_only_what_is_missing(tmp_path):
    folder, steps = tmp_path / "run", []
    cut_at(folder, 9)

    def observe(event: Any) -> None:
        if isinstance(event, Progress):
            steps.append(event.done)

    ceflow.run(document(), folder, observe=observe)
    assert min(steps) >= 9


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty"])
def test_a_damaged_checkpoint_is_none(whole, tmp_path, damage):
    folder = tmp_path / "run"
    cut_at(folder, 9)
    path = folder / "checkpoints/t.bin"
    found = bytearray(path.read_bytes())
    if damage == "flipped":
        found[-20] ^= 1
    path.write_bytes({"cut": found[:-5], "flipped": found, "empty": b""}[damage])
    assert RunDirectory(folder).read_checkpoint("t") is None
    ceflow.run(document(), folder)
    assert content(folder) == content(whole)


KILLING = """
import os, signal, sys
sys.path += sys.argv[3:]
import test_checkpoints as cases
from ceflow.events import Progress
import ceflow
cases.checkpoints.SECONDS, cases.checkpoints.LARGEST_SHARE = 0.0, float("inf")
cases.loop.CALL_SECONDS = 0.0
def observe(event):
    if isinstance(event, Progress) and event.done >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
ceflow.run(cases.document(), sys.argv[1], observe=observe)
"""


def in_a_process(folder: Path, until: int, status: int) -> None:
    """Run in a process of its own, which is killed after this many steps, to this exit status."""
    here, above = map(str, Path(__file__).parents[:2])
    command = [sys.executable, "-c", KILLING, str(folder), str(until), here, above]
    ended = subprocess.run(command, capture_output=True, env=os.environ)
    assert ended.returncode == status, ended.stderr.decode()


@pytest.fixture(scope="module")
def whole_process(tmp_path_factory):
    """A run in a process that is not killed: these tests compile otherwise than a process does."""
    folder = tmp_path_factory.mktemp("process") / "run"
    in_a_process(folder, 99, 0)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("step", [2, 5, 11])
def test_killed_by_the_system_it_goes_on_to_the_same_bits(whole_process, tmp_path, step):
    folder = tmp_path / "run"
    in_a_process(folder, step, -signal.SIGKILL)
    assert (folder / "checkpoints/t.bin").exists()
    in_a_process(folder, 99, 0)
    assert content(folder) == content(whole_process)


@pytest.mark.parametrize("took", [0.01, 2.0])
def test_checkpoints_take_less_than_3_percent_of_the_time(took, monkeypatch):
    """By a clock of our own: epochs of a second, and a file that takes `took` seconds."""
    monkeypatch.undo()  # as they are outside these tests
    now, written = [0.0], [0.0]

    class Directory:
        def write_checkpoint(self, name: str, content: bytes) -> None:
            now[0] += took
            written[0] += took

    class Content(checkpoints.Checkpoints):
        def _content(self, reached: Any) -> bytes:
            return b""

    monkeypatch.setattr(checkpoints.time, "perf_counter", lambda: now[0])
    job: Any = SimpleNamespace(directory=Directory(), name="t")
    kept = Content(SimpleNamespace(job=job), None)  # pyright: ignore
    for _ in range(2000):
        now[0] += 1.0
        kept.save(None)  # pyright: ignore
    assert 0 < written[0] < 0.03 * now[0]

"""A training that is cut off goes on from its checkpoint, to the same bits."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small_runs import content

import ceflow
from ceflow._interrupts import Interrupts, ends_as_interrupts
from ceflow.events import CheckpointRead, CheckpointWritten, Notice, Progress
from ceflow.runs import Interrupted
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
    assert any(isinstance(event, CheckpointRead) for event in said) == kept
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


def interrupted_at(
    folder: Path, step: int, *signals: int, text: str = TEXT
) -> tuple[Interrupted, list[int]]:
    """Run until this many steps are done, when these signals come one after the other. Returns the
    end, and the steps of which checkpoints were written.
    """
    written = []

    def observe(event: Any) -> None:
        if isinstance(event, Progress) and event.done == step:
            for number in signals:
                signal.raise_signal(number)
        if isinstance(event, CheckpointWritten):
            written.append(event.step)

    with ends_as_interrupts(), pytest.raises(Interrupted) as end:
        ceflow.run(document(text), folder, observe=observe)
    return end.value, written


@pytest.mark.parametrize(
    ("number", "step"),
    [(signal.SIGINT, 3), (signal.SIGINT, 9), (signal.SIGTERM, 6), (signal.SIGHUP, 14)],
)
def test_an_interrupt_loses_no_step(whole, tmp_path, monkeypatch, number, step):
    """Also where a moment is recorded after the step, and at the last step."""
    monkeypatch.setattr(checkpoints, "SECONDS", 1e9)  # no other checkpoints
    folder, said = tmp_path / "run", []
    end, written = interrupted_at(folder, step, number)
    assert written == [step]
    assert end.path == folder
    assert end.under_way == f"stage 't': its checkpoint holds step {step} of 14"
    state = RunDirectory(folder).read_json("run.json")
    assert (state["state"], state["stages"]["t"]["state"]) == ("interrupted", "interrupted")
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
    ceflow.run(document(), folder, observe=said.append)
    assert [event.step for event in said if isinstance(event, CheckpointRead)] == [step]
    assert content(folder) == content(whole)


def test_a_second_interrupt_ends_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoints, "SECONDS", 1e9)
    end, written = interrupted_at(tmp_path / "run", 6, signal.SIGINT, signal.SIGINT)
    assert written == []
    assert end.under_way == "stage 't': it was under way, and is run again"


def test_of_a_sweep_it_says_which_run_was_under_way(tmp_path):
    text = f"{TEXT}\n[sweep]\nseed = [1, 2]\n"
    end, _ = interrupted_at(tmp_path / "run", 2, signal.SIGINT, text=text)
    assert end.path == tmp_path / "run"
    assert end.under_way == "run 'seed=1', stage 't': its checkpoint holds step 2 of 14"


def test_the_time_is_the_sum_of_all_sessions(tmp_path):
    """The first session is a lower bound of the sum, whatever the clock."""
    folder, times = tmp_path / "run", []
    for step in (4, 9):
        interrupted_at(folder, step, signal.SIGINT)
        header = RunDirectory(folder).read_checkpoint("t")
        assert header is not None
        times.append(json.loads(header.partition(b"\n")[0])["seconds"])
    ceflow.run(document(), folder)
    stage = RunDirectory(folder).read_json("run.json")["stages"]["t"]
    assert 0 < times[0] < times[1] < stage["seconds"]
    assert stage["sessions"] == 3


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


def test_over_other_data_a_training_starts_again(tmp_path):
    text = TEXT.replace('source = "digits"\ntrain = 24\ntest = 6', 'source = "npz"\npath = "x.npz"')
    draw = np.random.default_rng(0)

    def write(scale: float) -> None:
        x = scale * draw.normal(size=(24, 1, 4, 4))
        np.savez(tmp_path / "x.npz", x=x, y=draw.normal(size=(24, 2)))

    def run(folder: Path, observe: Any = lambda event: None) -> None:
        ceflow.run(loads(text.replace("x.npz", str(tmp_path / "x.npz"))), folder, observe=observe)

    write(1.0)
    cut_at(tmp_path / "run", 9, text.replace("x.npz", str(tmp_path / "x.npz")))
    write(2.0)
    said: list[Any] = []
    run(tmp_path / "run", said.append)
    assert "it starts again" in str([event for event in said if isinstance(event, Notice)])
    run(tmp_path / "whole")
    assert content(tmp_path / "run") == content(tmp_path / "whole")


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
    job: Any = SimpleNamespace(directory=Directory(), name="t", observe=lambda event: None)
    kept = Content(SimpleNamespace(job=job, steps=2000), None, Interrupts())  # pyright: ignore
    for _ in range(2000):
        now[0] += 1.0
        kept.save(SimpleNamespace(step=0))  # pyright: ignore
    assert 0 < written[0] < 0.03 * now[0]

"""A run of each kind of file that is quick to do, and what is looked at of it."""

import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from stubs import Untyped, stub

import ceflow
from ceflow.history import History
from ceflow.spec import Document, Flow
from ceflow.stages import Job

TEXT = """
name = "small"
data = {source = "gaussian", inputs = 3, outputs = 1, train = 6}
model = {type = "mlp", widths = [20, 20]}
[stages]
alpha = {type = "variance"}
best = {type = "search", variance = "alpha"}
k = {type = "kernel"}
tiles = {type = "kernel", tile = 2}
course = {type = "flow", time = 1.0}
"""
"""Documents, an array, tiles and, of a flow that does nothing, metrics."""

OPERATIONS = ("replace", "rename", "fsync", "link", "mkdir", "unlink", "remove", "rmdir", "open")
"""Functions of `os` by which files come and go."""


def document() -> Document:
    return ceflow.loads(TEXT)


def without_flowing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Flows that write metrics and find one number."""

    def run(job: Job) -> Untyped:
        history = History.of_lines([{"time": 0.0, "train_loss": 1.0}])
        return Untyped(train_loss=1.0, history=history)

    stub(monkeypatch, Flow, run=run, describe=lambda result: [])


def content(folder: Path) -> dict[str, bytes]:
    """Every file with its bytes, but for run.json, which has times, and the lease of the dead."""
    files = (path for path in folder.rglob("*") if path.is_file())
    named = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    aside = ("run.json", ".lease")
    return {name: found for name, found in named.items() if not name.startswith(aside)}


class Killed(BaseException):
    """The process is no more."""


def on_operations(
    monkeypatch: pytest.MonkeyPatch, folder: Path, stop: Callable[[], Any]
) -> list[str]:
    """Call `stop` before every change to a file below a folder; returns their names, as they
    come."""
    seen: list[str] = []

    def watched(name: str) -> Callable[..., Any]:
        real = getattr(os, name)

        def operation(path: Any, *more: Any, **keys: Any) -> Any:
            ours = isinstance(path, int) or str(folder) in os.fspath(path)
            if ours and (name != "open" or more[0] & os.O_CREAT):
                seen.append(name)
                stop()
            return real(path, *more, **keys)

        return operation

    for name in OPERATIONS:
        monkeypatch.setattr(os, name, watched(name))
    return seen


def killed_at(monkeypatch: pytest.MonkeyPatch, folder: Path, last: int) -> list[str]:
    """Let the process die before the operation of this number: none after it is done either."""
    seen: list[str] = []

    def stop() -> None:
        if len(seen) > last:
            main = threading.current_thread() is threading.main_thread()
            raise Killed if main else OSError("killed")

    seen = on_operations(monkeypatch, folder, stop)
    return seen


def copied(source: Path, target: Path) -> Path:
    shutil.copytree(source, target)
    return target

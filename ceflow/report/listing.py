"""The runs in a folder: a line each."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ceflow.blocks import Table
from ceflow.report.trouble import in_a_word
from ceflow.runs.record import read_state
from ceflow.store import Damaged, RunDirectory


def runs_in(folder: Path) -> Table | None:
    """List the runs that are in a folder itself, by name; None where there are none."""
    rows = tuple(_rows(folder))
    return Table(("run", "state", "started"), rows) if rows else None


def _rows(folder: Path) -> Iterator[tuple[str, str, str]]:
    with suppress(OSError):
        for path in sorted(folder.iterdir()):
            directory = RunDirectory(path)
            if directory.exists:
                yield _row(directory)


def _row(directory: RunDirectory) -> tuple[str, str, str]:
    try:
        state = read_state(directory)
    except Damaged:
        return str(directory.path), "damaged", ""
    started = str(state.get("started", ""))[:16].replace("T", " ")
    return str(directory.path), in_a_word(directory.path, state), started

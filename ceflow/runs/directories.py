"""The directory of a run: a new one, or that of the unfinished run to continue."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from ceflow.compiler.modules import PROGRAM_MARK
from ceflow.runs.record import read_state
from ceflow.spec import Fault, SpecError
from ceflow.store import Busy, Damaged, RunDirectory
from ceflow.store.digests import text_facts
from ceflow.store.lease import Lease

OWN_FOLDERS = ("arrays", "figures", "metrics")
"""Folders in which a run keeps its files."""


@contextmanager
def taken(out: str | Path | None, name: str, resolved: str) -> Iterator[RunDirectory]:
    """Lock the directory for a run of the document `resolved`, for this process only.

    Raises `SpecError` if `out` holds anything else, is in use by another process, or cannot be
    written.
    """
    directory = _numbered(Path("runs"), name, resolved) if out is None else _given(out, resolved)
    try:
        yield directory
    finally:
        _release(directory)


def holds(directory: RunDirectory, resolved: str) -> bool:
    """Tell whether a directory holds a begun run of the document `resolved`."""
    with suppress(Damaged, KeyError, TypeError):
        return read_state(directory)["files"]["resolved.toml"] == text_facts(resolved)
    with suppress(Damaged):
        return directory.read_text("resolved.toml") == resolved
    return False


def _given(out: str | Path, resolved: str) -> RunDirectory:
    path = Path(out).absolute()
    for above in path.parents:
        below = path.relative_to(above).parts[0]
        if below in OWN_FOLDERS and RunDirectory(above).exists:
            message = f"{out} is in the {below} of the run {above}, which may be written anew"
            raise SpecError(Fault("CE501", message, help="choose another directory with --out"))
    _require(RunDirectory(out), resolved)
    try:
        directory = _leased(RunDirectory(out))
    except Busy as busy:
        message = f"{out} is being worked on by {busy.holder}"
        help = "wait until it is done, or choose another directory with --out"
        raise SpecError(Fault("CE501", message, help=help)) from None
    try:
        _require(directory, resolved)  # still
    except SpecError:
        _release(directory)
        raise
    return directory


def _require(directory: RunDirectory, resolved: str) -> None:
    """Raise `SpecError` if a directory holds anything but a run of this document."""
    if directory.path.is_file():
        message = f"{directory.path} is a file, and a run is a directory of its own"
        raise SpecError(Fault("CE501", message, help="name a directory with --out"))
    if not directory.is_free and not holds(directory, resolved):
        what = _held(directory, resolved) if directory.exists else "files that are no run's"
        help = "choose another directory with --out"
        raise SpecError(Fault("CE501", f"{directory.path} holds {what}", help=help))


def _held(directory: RunDirectory, resolved: str) -> str:
    """Say what run a directory holds."""
    with suppress(Damaged):
        there = directory.read_text("resolved.toml")
        if there.partition(PROGRAM_MARK)[0] == resolved.partition(PROGRAM_MARK)[0]:
            return (
                "a run of this document in which a module of its model computes something else, or"
                " its JAX is another version, or the module calls Python, which may do anything"
            )
    return "the run of another document"


def _release(directory: RunDirectory) -> None:
    assert directory.lease is not None
    directory.lease.release()


def _numbered(folder: Path, name: str, resolved: str) -> RunDirectory:
    """Find the first of `folder/name`, name-2, name-3, ... that can be used.

    It is new or holds an unfinished run of this document, and no other process uses it.
    """
    number = 1
    while True:
        directory = RunDirectory(folder / (name if number == 1 else f"{name}-{number}"))
        if _is_open(directory, resolved):
            with suppress(Busy):
                leased = _leased(directory)
                if _is_open(leased, resolved):  # still
                    return leased
                _release(leased)
        number += 1


def _is_open(directory: RunDirectory, resolved: str) -> bool:
    return directory.is_free or (holds(directory, resolved) and not _is_done(directory))


def _is_done(directory: RunDirectory) -> bool:
    with suppress(Damaged):
        return read_state(directory)["state"] == "done"
    return False


def _leased(directory: RunDirectory) -> RunDirectory:
    try:
        return RunDirectory(directory.path, Lease(directory.path))
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        message = f"{directory.path} cannot be written: {why}"
        help = "choose another directory with --out"
        raise SpecError(Fault("CE501", message, help=help)) from None

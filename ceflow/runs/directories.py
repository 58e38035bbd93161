"""Where a run goes: a new directory, or the unfinished run that it continues."""

from pathlib import Path

from ceflow.spec import Fault, SpecError
from ceflow.store import RunDirectory


def choose_directory(out: str | Path | None, name: str, resolved: str) -> RunDirectory:
    """The directory for a run of the document that `resolved` spells out.

    Raises `SpecError` where `out` holds anything else.
    """
    if out is None:
        return _numbered(Path("runs"), name, resolved)
    directory = RunDirectory(out)
    if directory.is_free or _holds(directory, resolved):
        return directory
    what = "the run of another document" if directory.exists else "files that are no run's"
    help = "choose another directory with --out"
    raise SpecError(Fault("CE501", f"{out} holds {what}", help=help))


def _numbered(folder: Path, name: str, resolved: str) -> RunDirectory:
    """`folder/name`, or the first of name-2, name-3, ... that is free or unfinished."""
    number = 1
    while True:
        directory = RunDirectory(folder / (name if number == 1 else f"{name}-{number}"))
        if directory.is_free or (_holds(directory, resolved) and not _is_done(directory)):
            return directory
        number += 1


def _is_done(directory: RunDirectory) -> bool:
    return directory.read_json("run.json")["state"] == "done"


def _holds(directory: RunDirectory, resolved: str) -> bool:
    return directory.exists and directory.read_text("resolved.toml") == resolved

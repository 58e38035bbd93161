"""The record of a run in its directory, and checks that its files are intact."""

import hashlib
import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ceflow.runs.reading import why_unreadable
from ceflow.spec import Stage
from ceflow.stages import Values, kind_of
from ceflow.store import Damaged, RunDirectory, sign_of_life
from ceflow.store.digests import facts, is_sound, text_facts

STATES = ("running", "done", "failed", "interrupted", "skipped")


def read_state(directory: RunDirectory) -> Values:
    """Read run.json. Raises `Damaged` if it is not what ceflow writes."""
    state = directory.read_json("run.json")
    sound = (
        _is_table(state, {"state": str, "stages": dict})
        and state["state"] in STATES
        and isinstance(state.get("data"), dict | None)
        and _is_of_tables(state.get("files", {}))
        and all(_is_stage(stage) for stage in state["stages"].values())
        and _is_progress(state.get("runs", {"total": 0, "done": 0, "failed": []}))
    )
    if not sound:
        raise Damaged(f"{directory.path / 'run.json'} is damaged: it is not what a run writes")
    return state


def in_a_word(path: Path, state: Values) -> str:
    """Return the state of a run: done, failed, interrupted, under way or killed."""
    if state["state"] != "running":
        return state["state"]
    sign = sign_of_life(path)
    return "under way" if sign is not None and sign.is_alive else "killed"


def started(state: Values) -> str:
    """Return the minute in which a run began, in UTC; '' if its version did not record it.

    >>> started({"started": "2026-01-02T03:04:05"})
    '2026-01-02 03:04'
    """
    return str(state.get("started") or "")[:16].replace("T", " ")


def read_document(directory: RunDirectory, name: str, state: Values) -> str:
    """Read a document of a run. Raises `Damaged` if it is not the one that was run."""
    text = directory.read_text(name)
    known = state.get("files", {})
    if name in known and known[name] != text_facts(text):
        raise Damaged(f"{directory.path / name} was changed after the run")
    return text


def _is_table(value: Any, kinds: dict[str, Any]) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(k), kinds[k]) for k in kinds)


def _is_stage(stage: Any) -> bool:
    if not _is_table(stage, {"state": str}) or stage["state"] not in STATES:
        return False
    if stage["state"] == "done":
        took = stage.get("seconds")
        return isinstance(took, int | float) and abs(took) <= sys.float_info.max  # not NaN
    return isinstance(stage.get("error"), str)


def _is_progress(runs: Any) -> bool:
    parts = {"run": str, "stage": str, "error": str}
    return _is_table(runs, {"total": int, "done": int, "failed": list}) and all(
        _is_table(failed, parts) for failed in runs["failed"]
    )


def read_results(directory: RunDirectory) -> Values:
    """Read results.json. Raises `Damaged` if it is not what ceflow writes.

    A run that is killed as it begins has none, and no stage that is done.
    """
    if not directory.has("results.json"):
        stages = read_state(directory)["stages"].values()
        if not any(stage["state"] == "done" for stage in stages):
            return {"stages": {}}
    results = directory.read_json("results.json")
    known = _is_table(results, {"stages": dict})
    if not known or not all(_is_of_tables(results.get(key, {})) for key in ("runs", "collect")):
        raise Damaged(f"{directory.path / 'results.json'} is damaged: it is not what a run writes")
    return results


def _is_of_tables(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(each, dict) for each in value.values())


def digest(values: Any) -> str:
    """Return a hash of results."""
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def files_of(directory: RunDirectory, stage: str) -> list[str]:
    """List the array, history and model files of a stage."""
    patterns = (
        *(f"arrays/{stage}.zarr", f"arrays/{stage}.*.zarr"),
        *(f"metrics/{stage}.jsonl", f"models/{stage}.eqx", f"models/{stage}.inputs.json"),
    )
    paths = (path for pattern in patterns for path in directory.path.glob(pattern))
    return sorted(path.relative_to(directory.path).as_posix() for path in paths)


def facts_of(directory: RunDirectory, names: list[str]) -> Values:
    """Return the size and hash of each file."""
    return {name: facts(directory.path / name) for name in names}


def why_lost(
    directory: RunDirectory,
    state: Values,
    stage: Stage,
    values: Values | None,
    *,
    arrays: bool = True,
) -> str:
    """Say why the files and values of a done stage cannot be used; '' if they are intact.

    With `arrays=False`, array files are not checked, since they may be large.
    """
    if not isinstance(values, dict):
        return "its results are gone"
    if "results" not in state:  # of a version that recorded none
        return why_unreadable(kind_of(stage).result, values)
    if state["results"] != digest(values):
        return "its results were changed"
    if why := why_unreadable(kind_of(stage).result, values):
        return why
    files = state["files"] if isinstance(state.get("files"), dict) else {}
    return next(_lost_files(directory, files, arrays=arrays), "")


def _lost_files(directory: RunDirectory, files: Values, *, arrays: bool) -> Iterator[str]:
    for name, recorded in files.items():
        if arrays or not name.startswith("arrays/"):
            if not (directory.path / name).exists():
                yield f"{name} is gone"
            elif not is_sound(directory.path / name, recorded):
                yield f"{name} was changed"


def is_whole(directory: RunDirectory, stages: Mapping[str, Stage]) -> bool:
    """Tell whether a run is done and all its files are intact."""
    try:
        state, results = read_state(directory), read_results(directory)["stages"]
    except Damaged:
        return False
    if state["state"] != "done" or state["stages"].keys() != stages.keys():
        return False
    if next(_lost_files(directory, state.get("files", {}), arrays=True), ""):
        return False
    return not any(
        why_lost(directory, state["stages"][name], stage, results.get(name))
        for name, stage in stages.items()
    )


def known_results(
    directory: RunDirectory, stages: Mapping[str, Stage]
) -> tuple[Values, dict[str, str]]:
    """Read the intact part of results.json, and say what is wrong with the rest.

    The reasons are given by stage, or under '' for the whole of a sweep. Arrays are not checked.
    """
    state, results = read_state(directory), read_results(directory)
    # Of a run under way, or killed, one of the two files may be a moment older than the other.
    ended = state["state"] != "running"
    if ended and "results" in state and state["results"] != digest(results):
        return {"stages": {}}, {"": "results.json was changed"}
    known, lost = {}, {}
    for name, stage in stages.items():
        its_state = state["stages"].get(name, {"state": "not begun"})
        if its_state["state"] == "done":
            values = results["stages"].get(name)
            if why := why_lost(directory, its_state, stage, values, arrays=False):
                lost[name] = why
            else:
                known[name] = values
    return results | {"stages": known}, lost

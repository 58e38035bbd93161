"""The report of failures in a run, from its state."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from ceflow.report.text import seconds
from ceflow.runs.loop import INTERRUPTED
from ceflow.stages import Values
from ceflow.store import sign_of_life

GO_ON = "run the same command again to finish it"

FULL_DISK_BYTES = 1e6
"""Free bytes below which a disk counts as full."""

STATE_WORDS = {"done": "is damaged", "interrupted": "is interrupted", "failed": "failed"}
"""State in words of a run that no process is working on; `done` is shown if files are damaged."""


def trouble(path: Path, state: Values, lost: Mapping[str, str]) -> list[str]:
    """Say how an unfinished or damaged run stands, then what is wrong with which stages.

    Empty for a run that is done and intact. `lost` says why results of stages cannot be used.
    """
    if state["state"] == "done" and not lost:
        return []
    gone = [f"stage {name!r}: {why}" if name else why for name, why in lost.items()]
    stages, runs = _of_stages(state["stages"]), _of_runs(state.get("runs", {}))
    return [standing(path, state), *stages, *runs, *gone]


def standing(path: Path, state: Values) -> str:
    """Describe an unfinished or damaged run, and how to continue it."""
    if state["state"] == "running":
        return f"the run {_under_way(path, state)}"
    if state["state"] == "done":  # the same command without --out would begin another one
        mend = f"run its document again with --out {path}: the damaged stages are run again"
        return f"the run {STATE_WORDS['done']}; {mend}"
    return f"the run {STATE_WORDS[state['state']]}{_far(state)}; {GO_ON}"


def _under_way(path: Path, state: Values) -> str:
    """Say whether the process of a run that has not ended is alive."""
    sign = sign_of_life(path)
    far = _far(state, with_end=sign is not None and sign.is_alive)
    if sign is None:
        return f"{_unrecorded(path)}{far}; {GO_ON}"
    if sign.is_here:
        if sign.is_alive:
            return f"is under way in {sign.holder}{far}"
        return f"was killed: {sign.holder} is gone{far}; {GO_ON}"
    last = f"the last sign of life of {sign.holder} was {seconds(sign.silent)} ago"
    if sign.is_alive:
        return f"is under way elsewhere: {last}{far}"
    return f"was killed or cut off: {last}{far}; {GO_ON}"


def _unrecorded(path: Path) -> str:
    """Say how a run may have ended that did not record it, and whose process is not known."""
    with suppress(OSError):
        if shutil.disk_usage(path).free < FULL_DISK_BYTES:
            return "could not record how it ended: the disk is full"
    return "was killed, or could not record how it ended, as on a full disk"


def _far(state: Values, *, with_end: bool = False) -> str:
    """Write the progress of a sweep, and the estimated time of its end."""
    if "runs" not in state:
        return ""
    runs = state["runs"]
    ends = f", the last by about {runs['ends']}" if with_end and "ends" in runs else ""
    return f", {runs['done']} of {runs['total']} runs are done{ends}"


def _of_stages(stages: Values) -> Iterator[str]:
    for name, stage in stages.items():
        if stage["state"] != "done":
            yield f"stage {name!r} {_what(stage)}"


def _of_runs(runs: Values) -> Iterator[str]:
    for failed in runs.get("failed", ()):
        where = [f"{key} {failed[key]!r}" for key in ("run", "stage") if failed[key]]
        yield f"{', '.join(where)}: {failed['error']}"


def _what(stage: Values) -> str:
    if stage["state"] == "interrupted":
        return "was interrupted" + ("" if stage["error"] == INTERRUPTED else f": {stage['error']}")
    was = "was " if stage["state"] == "skipped" else ""
    return f"{was}{stage['state']}: {stage['error']}"

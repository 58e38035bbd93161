"""What went wrong in a run, from its state."""

from collections.abc import Iterator, Mapping

from ceflow.stages import Values


def trouble(state: Values, lost: Mapping[str, str]) -> list[str]:
    """A line for each stage, of each run of a sweep, that failed or was left out, and for each
    whose results are `lost`."""
    gone = [f"stage {name!r}: {why}" if name else why for name, why in lost.items()]
    return [*_of_stages(state["stages"]), *_of_runs(state.get("runs", {})), *gone]


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
        return "was interrupted"
    was = "was " if stage["state"] == "skipped" else ""
    return f"{was}{stage['state']}: {stage['error']}"

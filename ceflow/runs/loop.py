"""Running the stages of one run in order, and keeping their results."""

import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime

from pydantic import ValidationError

from ceflow import stages
from ceflow.compiler import Plan
from ceflow.events import (
    CheckpointRead,
    CheckpointWritten,
    Event,
    Notice,
    Observer,
    StageFailed,
    StageFinished,
    StageSkipped,
    StageStarted,
)
from ceflow.history import History
from ceflow.runs import machine
from ceflow.runs.collected import read_collected
from ceflow.runs.failures import Interrupted
from ceflow.runs.numbers import listed, plain
from ceflow.runs.prepared import Needs
from ceflow.runs.record import (
    digest,
    facts_of,
    files_of,
    is_whole,
    read_results,
    read_state,
    why_lost,
)
from ceflow.runs.results import Results
from ceflow.runs.work import Work
from ceflow.spec import Stage, dumps
from ceflow.stages import Job, Result, Values
from ceflow.store import PAGE, Damaged, RunDirectory, WriteError
from ceflow.store.digests import is_sound, text_facts

INTERRUPTED = "it was interrupted"
"""The reason of a stage that a user, or the system, interrupted."""

NOT_FINITE = (
    "not finite, and so null: {}; look for values in the data or the model that overflow, or try"
    " precision = 'float64'"
)


def begin(
    directory: RunDirectory,
    plan: Plan,
    resolved: str,
    observe: Observer,
    needs: Mapping[str, Needs] | None = None,
) -> None:
    """Start a run directory, or repair that of a begun run: first its state, then its document as
    resolved and as given, then its results. The forecast `needs` are kept in the state.
    """
    directory.sweep()
    texts = {"resolved.toml": resolved, "spec.toml": dumps(plan.document)}
    state = _state_of(directory, observe)
    if state is None:
        state = _new_state(plan) | {"files": {n: text_facts(text) for n, text in texts.items()}}
        directory.write_json("run.json", state)
    if needs:
        state["forecast"] = {
            name: {"seconds": each.seconds, "memory": each.memory, "disk": each.disk}
            for name, each in needs.items()
        }
    for name, text in texts.items():
        if not is_sound(directory.path / name, state["files"].get(name)):
            directory.write_text(name, text)
            state["files"][name] = text_facts(text)
    directory.write_json("run.json", state)
    try:
        results = read_results(directory)
    except Damaged as damage:
        if state["stages"]:
            observe(Notice("", f"{damage}: its stages are run again"))
        results = {"stages": {}}
        directory.write_json("results.json", results)
    if not directory.has("results.json"):
        directory.write_json("results.json", results)


def _state_of(directory: RunDirectory, observe: Observer) -> Values | None:
    """Read the state of a begun run; None if there is no reliable one."""
    try:
        return {"files": {}} | read_state(directory)
    except Damaged as damage:
        if directory.exists:
            observe(Notice("", f"{damage}: all stages are run again"))
        return None


def _new_state(plan: Plan) -> Values:
    document, modules = plan.document, plan.modules_used()
    return {
        "state": "running",
        "name": document.name,
        "seed": document.seed,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": machine.versions(),
        "data": plan.data and asdict(plan.data),
        **({"modules": modules} if modules else {}),
        "stages": {},
    }


class Loop(Work):
    """A begun run: runs the stages that are not done, except those that need a failed one."""

    def __init__(
        self, plan: Plan, directory: RunDirectory, observe: Observer, *, fail_fast: bool = False
    ):
        super().__init__(plan, directory, observe, fail_fast=fail_fast)
        self.results: dict[str, Values] = {}
        self._worked = False
        self._sessions, self._earlier = 1, 0.0
        """Sessions that the stage under way has taken, and the seconds of the earlier ones."""
        self._kept = ""
        """What is kept of the stage under way."""

    @property
    def found(self) -> Results:
        return Results(self.directory, self.plan.document, self.results)

    @property
    def is_whole(self) -> bool:
        whole = is_whole(self.directory, self.plan.document.stages)
        return whole and self._has_collected(read_results(self.directory))

    @property
    def worked(self) -> bool:
        return self._worked

    def show(self) -> None:
        results = read_results(self.directory)
        self.results = results["stages"]
        self.collected, _ = read_collected(results)
        for index, (name, stage) in enumerate(self.plan.document.stages.items(), 1):
            self._keep_stage(index, name, stage)

    def run(self) -> None:
        """Run the stages; then `results` holds those of all stages, earlier attempts included."""
        self.state = read_state(self.directory)
        lost = self._read_sound()
        self._mark("running")
        for index, (name, stage) in enumerate(self.plan.document.stages.items(), 1):
            if name in self.results:
                self._keep_stage(index, name, stage)
                continue
            self._start(index, name, stage)
            if name in lost:
                self.observe(Notice(name, f"{lost[name]}: it is run again"))
                self._clear(name)
            if lacking := sorted(stage.needed - self.results.keys()):
                self._skip(name, lacking)
            else:
                self._try(name, stage)
                machine.let_go()
            if self.fail_fast and self.failures:
                break
        if self.plan.document.collect:
            self.directory.remove("figures/collect-*")
            self._collect({"": self.results})
            self.directory.write_json("results.json", {"stages": self.results} | self._tables())
        self._mark("failed" if self.failures else "done")

    def _read_sound(self) -> dict[str, str]:
        """Load the results of stages that are intact. Returns for each other done stage
        the reason.
        """
        results, lost = read_results(self.directory)["stages"], {}
        for name, stage in self.plan.document.stages.items():
            its_state = self.state["stages"].get(name, {"state": "not begun"})
            if its_state["state"] == "done":
                if why := why_lost(self.directory, its_state, stage, results.get(name)):
                    lost[name] = why
                else:
                    self.results[name] = results[name]
        return lost

    def _start(self, index: int, name: str, stage: Stage) -> None:
        self._sessions, self._earlier, self._kept = 1, 0.0, ""
        self.observe(StageStarted(name, stage.type, index, len(self.plan.document.stages)))

    def _keep_stage(self, index: int, name: str, stage: Stage) -> None:
        self._start(index, name, stage)
        self.observe(StageFinished(name, None))

    def _clear(self, name: str) -> None:
        """Remove the files of a stage."""
        self.directory.remove(*files_of(self.directory, name), *self._figures_of(name))

    def _figures_of(self, name: str) -> list[str]:
        """List the figures of a stage, without those of stages whose names begin like its own."""
        longer = [each for each in self.plan.document.stages if each.startswith(f"{name}-")]
        figures = self.directory.path.glob(f"figures/{name}-*")
        return [
            f"figures/{figure.name}"
            for figure in figures
            if not any(figure.name.startswith(f"{each}-") for each in longer)
        ]

    def _skip(self, name: str, lacking: list[str]) -> None:
        why = f"it refers to {' and '.join(map(repr, lacking))}"
        self._record(name, {"state": "skipped", "error": why})
        self.observe(StageSkipped(name, why))

    def _try(self, name: str, stage: Stage) -> None:
        """Run one stage; record its failure, but let an interrupt pass."""
        try:
            self.observe(StageFinished(name, self._do(name, stage), self._sessions))
        except WriteError as error:  # what cannot be written here cannot be for other stages
            with suppress(WriteError):  # there may be room for this
                self._record(name, {"state": "interrupted", "error": str(error)})
                self._mark("interrupted")
            raise
        except Exception as error:
            why = self._fail(name, error).why
            self._record(name, {"state": "failed", "error": why})
            self.observe(StageFailed(name, why))
        except BaseException as end:
            if not self._kept and self.directory.has(self.directory.checkpoint_name(name)):
                self._kept = "its checkpoint is kept"
            self._record(name, {"state": "interrupted", "error": self._kept or INTERRUPTED})
            self._mark("interrupted")
            if isinstance(end, KeyboardInterrupt):
                kept = self._kept or "it was under way, and is run again"
                raise Interrupted(self.directory.path, f"stage {name!r}: {kept}") from end
            raise

    def _do(self, name: str, stage: Stage) -> float:
        """Run one stage; write its arrays and documents first, then its results, then its state."""
        started, self._worked = time.perf_counter(), True
        machine.reset_peak_memory()
        self.directory.remove(*self._figures_of(name), PAGE)
        kind = stages.kind_of(stage)
        values, files = self._keep(name, stages.result_of(kind, self._job(name, stage)))
        memory = machine.peak_memory()
        self._forget_if_other(name, values)
        self.results = self._in_order(self.results | {name: values})
        self.directory.write_json("results.json", {"stages": self.results})
        seconds = self._earlier + time.perf_counter() - started
        done = {"state": "done", "seconds": round(seconds, 3), "memory": memory}
        done |= {"sessions": self._sessions} if self._sessions > 1 else {}
        self._record(name, done | {"results": digest(values), "files": files})
        self.directory.remove_checkpoint(name)
        return seconds

    def _forget_if_other(self, name: str, values: Values) -> None:
        """Forget the results that refer to a stage if it was run again with another result, and
        those that refer to them.

        A result that differs only in its timings is another result too.
        """
        before = self._known_digest(name)
        if before is None or before == digest(values):
            return
        stale = {name}
        for other, stage in self.plan.document.stages.items():
            if stale & stage.needed:
                stale.add(other)  # also if an interrupt came after it was forgotten
                if self.results.pop(other, None):
                    self.state["stages"].pop(other)
                    self._clear(other)

    def _known_digest(self, name: str) -> str | None:
        """Return the digest of the last result of a stage, on which others may rest."""
        state = self.state["stages"].get(name, {})
        return state.get("results", state.get("before"))

    def _job(self, name: str, stage: Stage) -> Job:
        model = stages.resolve_model(stage, self.plan, self.found)
        return Job(name, stage, self.plan, model, self.found, self.directory, self._told)

    def _told(self, event: Event) -> None:
        """Pass an event on, and check whether another process has taken over."""
        lease = self.directory.lease
        if lease is not None and lease.is_lost:
            lease.require()
        if isinstance(event, CheckpointRead):
            self._sessions, self._earlier = event.sessions + 1, event.seconds
        if isinstance(event, CheckpointRead | CheckpointWritten):
            self._kept = f"its checkpoint holds step {event.step:,} of {event.steps:,}"
        self.observe(event)

    def _keep(self, name: str, result: Result) -> tuple[Values, Values]:
        """Write a stage's arrays and history to files. Returns its JSON values (with file names),
        and the list of files. Raises `ValueError` if a required number is not finite.
        """
        values = result.table()
        for key, array in result.arrays().items():
            file = name if key == "array" else f"{name}.{key}"  # no stage is named so
            self.directory.write_array(file, array)
            values[key] = self.directory.array_name(file)
        if isinstance(result.history, History):
            self.directory.write_metrics(name, result.history)
            values["history"] = self.directory.metrics_name(name)
        for file, document in result.documents.items():
            self.directory.write_text(file, dumps(document))
        for file, content in result.contents.items():
            self.directory.write_bytes(file, content)
        values, lost = plain(values)
        if lost:
            warning = NOT_FINITE.format(listed(lost))
            values["warnings"] = [*values.get("warnings", ()), warning]
            try:
                type(result).model_validate(values)
            except ValidationError:
                raise ValueError(warning) from None
        files = [*files_of(self.directory, name), *result.documents]
        return values, facts_of(self.directory, files)

    def _record(self, name: str, stage: Values) -> None:
        if stage["state"] != "done" and (before := self._known_digest(name)):
            stage = stage | {"before": before}  # what other stages may rest on
        self.state["stages"] = self._in_order(self.state["stages"] | {name: stage})
        self._mark("running")

    def _in_order(self, by_stage: Values) -> Values:
        """Sort by stage, in the document's order."""
        return {name: by_stage[name] for name in self.plan.document.stages if name in by_stage}

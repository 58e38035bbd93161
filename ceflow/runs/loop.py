"""The stages of one run in order, and what is kept of each."""

import time
from dataclasses import asdict
from typing import Any

from ceflow import stages
from ceflow.compiler import Plan
from ceflow.events import Observer, StageFailed, StageFinished, StageSkipped, StageStarted
from ceflow.runs import machine
from ceflow.runs.failures import Failure, sentence, without_arrays
from ceflow.runs.numbers import listed, plain
from ceflow.spec import Stage, dumps
from ceflow.stages import Job, Outcome, Values
from ceflow.store import RunDirectory

NOT_FINITE = (
    "not finite, and so null: {}; look for values in the data or the model that overflow, or try"
    " precision = 'float64'"
)


def begin(directory: RunDirectory, plan: Plan, resolved: str) -> None:
    """Make a directory that of a run: its document as given and resolved, and its state."""
    document = plan.document
    directory.write_text("resolved.toml", resolved)
    directory.write_text("spec.toml", dumps(document))
    directory.write_json("results.json", {"stages": {}})
    state = {
        "state": "running",
        "name": document.name,
        "seed": document.seed,
        "versions": machine.versions(),
        "data": plan.data and asdict(plan.data),
        "stages": {},
    }
    directory.write_json("run.json", state)  # last: with it the run is begun


class Loop:
    """One begun run: does the stages that are not done yet, but for those that need a failed one.

    With `fail_fast` the first failure is the last: the stages after it are left undone.
    """

    def __init__(
        self, plan: Plan, directory: RunDirectory, observe: Observer, *, fail_fast: bool = False
    ):
        self.plan = plan
        self.directory = directory
        self.observe = observe
        self.fail_fast = fail_fast
        self.results: dict[str, Values] = directory.read_json("results.json")["stages"]
        self.state: dict[str, Any] = directory.read_json("run.json")
        self.failures: list[Failure] = []
        self.cause: Exception | None = None
        """The first failure as it was raised."""
        self.worked = False
        """Whether any stage was done or tried."""

    def run(self) -> None:
        """Afterwards `results` are those of all stages, earlier attempts included."""
        self._mark("running")
        specs = self.plan.document.stages
        for index, (name, stage) in enumerate(specs.items(), 1):
            self.observe(StageStarted(name, stage.type, index, len(specs)))
            if name in self.results:
                self.observe(StageFinished(name, None))
            elif lacking := sorted(stage.needed - self.results.keys()):
                self._skip(name, lacking)
            else:
                self._try(name, stage)
            if self.fail_fast and self.failures:
                break
        self._mark("failed" if self.failures else "done")

    def _skip(self, name: str, lacking: list[str]) -> None:
        why = f"it refers to {' and '.join(map(repr, lacking))}"
        self._record(name, {"state": "skipped", "error": why})
        self.observe(StageSkipped(name, why))

    def _try(self, name: str, stage: Stage) -> None:
        """One stage; what it fails with is kept, an interrupt goes on."""
        try:
            self.observe(StageFinished(name, self._do(name, stage)))
        except Exception as error:
            why = sentence(error)
            self._record(name, {"state": "failed", "error": why})
            self.failures.append(Failure(name, why))
            self.cause = self.cause or without_arrays(error)
            self.observe(StageFailed(name, why))
        except BaseException:
            self._record(name, {"state": "interrupted", "error": "it was interrupted"})
            self._mark("interrupted")
            raise

    def _do(self, name: str, stage: Stage) -> float:
        """One stage: its array and documents first, then its results, then its state."""
        started, self.worked = time.perf_counter(), True
        machine.reset_peak_memory()
        values = self._keep(name, stages.kind_of(stage).run(self._job(name, stage)))
        found = self.results | {name: values}
        self.results = {each: found[each] for each in self.plan.document.stages if each in found}
        self.directory.write_json("results.json", {"stages": self.results})
        seconds = time.perf_counter() - started
        done = {"state": "done", "seconds": round(seconds, 3), "memory": machine.peak_memory()}
        self._record(name, done)
        return seconds

    def _job(self, name: str, stage: Stage) -> Job:
        model = stages.resolve_model(stage, self.plan, self.results)
        return Job(name, stage, self.plan, model, self.results, self.directory, self.observe)

    def _keep(self, name: str, outcome: Outcome) -> Values:
        """Write what a stage found beside its values; the values say where, and are plain JSON."""
        values = outcome.values
        for key, array in outcome.arrays.items():
            file = name if key == "array" else f"{name}.{key}"  # no stage is named so
            self.directory.write_array(file, array)
            values = values | {key: self.directory.array_name(file)}
        for part, document in outcome.documents.items():
            self.directory.write_text(self._document_name(name, part), dumps(document))
        values, lost = plain(values)
        if lost:
            values["warnings"] = [*values.get("warnings", ()), NOT_FINITE.format(listed(lost))]
        return values

    def _document_name(self, name: str, part: str) -> str:
        """`optimal.toml`, `optimal-dual.toml` of the first search; later ones carry their names."""
        specs = self.plan.document.stages
        first = next(other for other, stage in specs.items() if stage.type == "search")
        if name == first:
            return "optimal.toml" if part == "primal" else f"optimal-{part}.toml"
        return f"optimal-{name}-{part}.toml"

    def _record(self, name: str, stage: Values) -> None:
        found = self.state["stages"] | {name: stage}
        names = (each for each in self.plan.document.stages if each in found)
        self.state["stages"] = {each: found[each] for each in names}
        self._mark("running")

    def _mark(self, state: str) -> None:
        self.state["state"] = state
        self.directory.write_json("run.json", self.state)

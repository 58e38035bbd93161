"""The stages of one run in order, and what is kept of each."""

import json
import time
from dataclasses import asdict
from typing import Any

from ceflow import stages
from ceflow.compiler import Plan
from ceflow.events import Observer, StageFinished, StageStarted
from ceflow.runs import machine
from ceflow.spec import Stage, dumps
from ceflow.stages import Job, Outcome, Values
from ceflow.store import RunDirectory


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
    """One begun run: does the stages that are not done yet."""

    def __init__(self, plan: Plan, directory: RunDirectory, observe: Observer):
        self.plan = plan
        self.directory = directory
        self.observe = observe
        self.results: dict[str, Values] = directory.read_json("results.json")["stages"]
        self.state: dict[str, Any] = directory.read_json("run.json")

    def run(self) -> dict[str, Values]:
        """The results of all stages, those of an earlier attempt included."""
        self._mark("running")
        specs = self.plan.document.stages
        for index, (name, stage) in enumerate(specs.items(), 1):
            self.observe(StageStarted(name, stage.type, index, len(specs)))
            seconds = None if name in self.results else self._do(name, stage)
            self.observe(StageFinished(name, seconds))
        self._mark("done")
        return self.results

    def _do(self, name: str, stage: Stage) -> float:
        """One stage: its array and documents first, then its results, then its state."""
        started = time.perf_counter()
        machine.reset_peak_memory()
        try:
            values = self._keep(name, stages.kind_of(stage).run(self._job(name, stage)))
            self.directory.write_json("results.json", {"stages": self.results | {name: values}})
        except BaseException as error:
            stopped = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
            message = f"{type(error).__name__}: {error}"
            self.state["stages"][name] = {"state": stopped, "error": message}
            self._mark(stopped)
            raise
        self.results[name] = values
        seconds = time.perf_counter() - started
        done = {"state": "done", "seconds": round(seconds, 3), "memory": machine.peak_memory()}
        self.state["stages"][name] = done
        self._mark("running")
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
        try:
            return json.loads(json.dumps(values, allow_nan=False))
        except ValueError as error:
            raise ValueError(
                f"stage {name!r} found a number that is not finite ({error}); look for"
                " values in the data or the model that overflow, or try precision = 'float64'"
            ) from None

    def _document_name(self, name: str, part: str) -> str:
        """`optimal.toml`, `optimal-dual.toml` of the first search; later ones carry their names."""
        specs = self.plan.document.stages
        first = next(other for other, stage in specs.items() if stage.type == "search")
        if name == first:
            return "optimal.toml" if part == "primal" else f"optimal-{part}.toml"
        return f"optimal-{name}-{part}.toml"

    def _mark(self, state: str) -> None:
        self.state["state"] = state
        self.directory.write_json("run.json", self.state)

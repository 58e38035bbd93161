"""The loop: document, plan, stages in order, results."""

import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceflow import stages
from ceflow.compiler import Plan, compile
from ceflow.events import Observer, StageFinished, StageStarted, ignore
from ceflow.runs import machine
from ceflow.runs.needs import require_memory
from ceflow.runs.place import find_place
from ceflow.data import Extent
from ceflow.spec import Document, Fault, SpecError, Stage, dumps, load
from ceflow.stages import Job, Outcome, Values
from ceflow.store import RunDirectory

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Run:
    """A finished run: `results["alpha"]` are the values of the stage named alpha."""

    path: Path
    results: Mapping[str, Values]

    def array(self, stage: str) -> "np.ndarray":
        """The array of a stage, such as a kernel."""
        return RunDirectory(self.path).read_array(stage)


def run(document: Document, out: str | Path | None = None, *, observe: Observer = ignore) -> Run:
    """Check a document, do its stages in order, and leave a run directory.

    `out` is the directory; by default `runs/NAME`, numbered where that is taken. An unfinished run
    of the same document is resumed: its finished stages are kept. `observe` is told of the progress.

    Raises `SpecError` before anything is written where the document is wrong or would not fit in
    memory.

    >>> import tempfile, ceflow
    >>> from ceflow.spec import Document, Mlp, Variance
    >>> document = Document(model=Mlp(widths=[20, 20], inputs=3, outputs=1), stages={"alpha": Variance()})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     round(ceflow.run(document, folder).results["alpha"]["alpha"], 2)
    2.36
    """
    plan = compile(document)
    require_memory(plan)
    resolved = dumps(plan.resolved(), defaults=True)
    directory = find_place(out, document.name, resolved)
    if not directory.exists:
        _begin(directory, plan, resolved)
    return execute(plan, directory, observe)


def reopen(directory: RunDirectory) -> Plan:
    """The plan of a run that was begun, from its directory alone. Raises `SpecError` for another."""
    if not directory.exists:
        message = f"{directory.path} is not a run directory: it has no run.json"
        raise SpecError(Fault("CE501", message))
    extent = directory.read_json("run.json")["data"]
    document = load(directory.path / "resolved.toml")
    return compile(document, Extent(**extent) if extent else None)


def execute(plan: Plan, directory: RunDirectory, observe: Observer) -> Run:
    """Do the stages of a begun run that are not done yet."""
    results: dict[str, Values] = directory.read_json("results.json", {"stages": {}})["stages"]
    state: dict[str, Any] = directory.read_json("run.json")
    state["state"] = "running"
    directory.write_json("run.json", state)
    names = list(plan.document.stages)
    for index, name in enumerate(names, 1):
        stage = plan.document.stages[name]
        observe(StageStarted(name, stage.type, index, len(names)))
        if name not in results:
            _do(name, stage, plan, directory, results, state, observe)
        else:
            observe(StageFinished(name, 0.0))
    directory.write_json("run.json", state | {"state": "done"})
    return Run(directory.path, results)


def _begin(directory: RunDirectory, plan: Plan, resolved: str) -> None:
    document, origin = plan.document, plan.document.origin
    toml = origin.text if origin and origin.text.syntax == "toml" else None
    given = toml.content if toml else dumps(document)
    directory.write_text("resolved.toml", resolved)
    directory.write_text("spec.toml", given)
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


def _do(
    name: str,
    stage: Stage,
    plan: Plan,
    directory: RunDirectory,
    results: dict[str, Values],
    state: dict[str, Any],
    observe: Observer,
) -> None:
    """One stage: its array and documents first, then its results, then its state."""
    started = time.perf_counter()
    try:
        model = stages.resolve_model(stage, plan, results)
        job = Job(name, stage, plan, model, dict(results), directory, observe)
        values = _keep(name, stages.kind_of(stage).run(job), plan, directory)
        directory.write_json("results.json", {"stages": results | {name: values}})
    except BaseException as error:
        stopped = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        state["stages"][name] = {"state": stopped, "error": f"{type(error).__name__}: {error}"}
        directory.write_json("run.json", state | {"state": stopped})
        raise
    results[name] = values
    seconds = time.perf_counter() - started
    state["stages"][name] = {"state": "done", "seconds": round(seconds, 3)}
    directory.write_json("run.json", state)
    observe(StageFinished(name, seconds))


def _keep(name: str, outcome: Outcome, plan: Plan, directory: RunDirectory) -> Values:
    """Write what a stage found beside its values; the values say where, and are plain JSON."""
    values = outcome.values
    if outcome.array is not None:
        directory.write_array(name, outcome.array)
        values = values | {"array": directory.array_name(name)}
    for part, document in outcome.documents.items():
        directory.write_text(_document_name(plan, name, part), dumps(document))
    return json.loads(json.dumps(values, allow_nan=False))


def _document_name(plan: Plan, name: str, part: str) -> str:
    """`optimal.toml` and `optimal-dual.toml` of the first search; later ones carry their names."""
    first = next(other for other, stage in plan.document.stages.items() if stage.type == "search")
    if name == first:
        return "optimal.toml" if part == "primal" else f"optimal-{part}.toml"
    return f"optimal-{name}-{part}.toml"

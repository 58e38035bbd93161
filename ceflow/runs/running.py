"""From a document to its results: one run, or the many of a sweep."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceflow.compiler import Plan, compile
from ceflow.data import Extent
from ceflow.events import Event, Observer, ignore
from ceflow.runs.collecting import collect
from ceflow.runs.directories import choose_directory
from ceflow.runs.loop import Loop, begin
from ceflow.runs.needs import require_memory
from ceflow.spec import Document, Fault, SpecError, dumps, load, variants
from ceflow.stages import Values
from ceflow.store import RunDirectory

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Run:
    """A finished run: `results["alpha"]` are the values of the stage named alpha.

    Of a sweep: `results["widths=50-50"]["alpha"]`, by the names of its runs first, and `collected`
    what was gathered over them.
    """

    path: Path
    results: Mapping[str, dict[str, Any]]
    collected: Mapping[str, dict[str, Any]] = field(default_factory=dict)

    def array(self, stage: str) -> "np.ndarray":
        """The array of a stage, such as a kernel; of a sweep's run, `"widths=50-50/kernel"`.

        Raises `KeyError` for a stage that left none.
        """
        run, _, name = stage.rpartition("/")
        directory = RunDirectory(self.path / run)
        if not directory.has_array(name):
            raise KeyError(f"the stage {stage!r} left no array")
        return directory.read_array(name)


def run(document: Document, out: str | Path | None = None, *, observe: Observer = ignore) -> Run:
    """Check a document, do its stages in order, and leave a run directory.

    `out` is the directory; by default `runs/NAME`, numbered where that is taken. An unfinished run
    of the same document is resumed: its finished stages are kept. A sweep leaves a run directory
    for each of its documents inside its own. `observe` is told of progress. Figures are drawn by
    `ceflow.report.write_figures`, as `ceflow run` does.

    Raises `SpecError` before anything is written where the document is wrong or would not fit in
    memory.

    >>> import tempfile, ceflow
    >>> from ceflow.spec import Document, Mlp, Variance
    >>> model = Mlp(widths=[20, 20], inputs=3, outputs=1)
    >>> document = Document(model=model, stages={"alpha": Variance()})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     round(ceflow.run(document, folder).results["alpha"]["alpha"], 2)
    2.36
    """
    plan = compile(document)
    swept = variants(document) if document.sweep else {}
    require_memory(plan)
    resolved = dumps(plan.resolved(), defaults=True)
    directory = choose_directory(out, document.name, resolved)
    if not directory.exists:
        begin(directory, plan, resolved)
    if swept:
        return _run_each(plan, swept, directory, observe)
    return Run(directory.path, Loop(plan, directory, observe).run())


def reopen(directory: RunDirectory) -> Plan:
    """The plan of a run that was begun, from its directory alone. `SpecError` if none was."""
    if not directory.exists:
        message = f"{directory.path} is not a run directory: it has no run.json"
        raise SpecError(Fault("CE501", message))
    extent = directory.read_json("run.json")["data"]
    document = load(directory.path / "resolved.toml")
    if extent is None:
        return compile(document)
    image = extent.get("image")
    return compile(document, Extent(**extent | {"image": image and tuple(image)}))


def _run_each(
    plan: Plan, swept: dict[str, Document], directory: RunDirectory, observe: Observer
) -> Run:
    """The runs of a sweep, one after another; their results together in the sweep's own."""
    results: dict[str, Any] = {}
    state = directory.read_json("run.json")
    try:
        for name, document in swept.items():
            done = run(document, directory.path / name, observe=_named(observe, name))
            results[name] = done.results
            _write_results(directory, results)
        collected = collect(plan, results, directory)
        _write_results(directory, results, collected)
    except BaseException as error:
        stopped = "interrupted" if isinstance(error, KeyboardInterrupt) else "failed"
        directory.write_json("run.json", state | {"state": stopped})
        raise
    directory.write_json("run.json", state | {"state": "done"})
    return Run(directory.path, results, collected)


def _write_results(directory: RunDirectory, runs: Values, collected: Values | None = None) -> None:
    written = {"stages": {}, "runs": runs}
    directory.write_json("results.json", written | ({"collect": collected} if collected else {}))


def _named(observe: Observer, run: str) -> Observer:
    """An observer that hears the name of the run before that of the stage."""

    def observe_named(event: Event) -> None:
        observe(replace(event, stage=f"{run} {event.stage}"))

    return observe_named

"""Running a document: one run, or a sweep."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceflow.blocks import Drawing, Table
from ceflow.blocks.html import section
from ceflow.blocks.svg import figure_of
from ceflow.compiler import Modules, compile
from ceflow.events import Observer, ignore
from ceflow.runs import machine
from ceflow.runs.arrays import RunArrays, StageArrays
from ceflow.runs.collected import Collected, read_collected
from ceflow.runs.describing import collected_drawing
from ceflow.runs.failures import RunError
from ceflow.runs.kept import examples, network
from ceflow.runs.measured import columns_with_errors
from ceflow.runs.numbers import listed
from ceflow.runs.prepared import Needs, Prepared, prepare
from ceflow.runs.record import known_results
from ceflow.runs.reopening import reopen
from ceflow.runs.results import Results
from ceflow.runs.summaries import run_text, runs_table, sweep_text
from ceflow.runs.sweeping import perform
from ceflow.spec import Document, Fault, SpecError
from ceflow.stages import Values
from ceflow.store import Damaged, RunDirectory

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure

    from ceflow.data import Dataset


@dataclass(frozen=True, repr=False)
class Run:
    """A finished run: `results["alpha"]` is the result of the stage named alpha.

    Of a sweep, `results["widths=50-50"]["alpha"]` gives run and stage. `collected` has the
    [collect] tables.
    """

    path: Path
    results: Mapping[str, Any]
    collected: Mapping[str, Collected] = field(default_factory=dict)
    document: Document | None = None
    """The document that was run; that of each run of a sweep is `results[run].document`."""

    def __repr__(self) -> str:
        """Describe the run in a few lines: its state, the main number of each stage, and how to
        read more.
        """
        if isinstance(self.results, Results):
            return run_text(self.path, self.results)
        return sweep_text(self.path, self.results)

    @property
    def arrays(self) -> RunArrays:
        """The arrays of each stage: `arrays["flow"].predictions`, or `arrays["k"].array` of a
        kernel; in a sweep, `arrays["widths=50-50/flow"].predictions`.

        Arrays have the keys that they have in the result of their stage.
        """
        names = [f"{run}{name}" for run, results in self._of_runs() for name in results]
        return RunArrays(names, self._arrays_of)

    def _arrays_of(self, stage: str) -> StageArrays:
        directory, name, _ = self._of(stage)
        stage, _, array = name.partition(".")
        if array:
            raise KeyError(f"{name!r} is no stage; {array} is an array of arrays[{stage!r}]")
        return StageArrays(directory, stage)

    def array(self, stage: str) -> "np.ndarray":
        """Read the array of a stage, such as a kernel; in a sweep, `"widths=50-50/kernel"`.

        Other arrays are named by the stage and their key: `"flow.predictions"`; `arrays` has all of
        them. Raises `KeyError` if the stage has none of this name, and `Damaged` (a `ValueError`)
        if its files were changed.
        """
        directory, name, _ = self._of(stage)
        if not directory.has_array(name):
            others = directory.array_names(name.partition(".")[0])
            known = f"; there are {listed(others)}" if others else ""
            raise KeyError(f"the stage {stage!r} left no array of that name{known}")
        return directory.read_array(name)

    def frame(self, stage: str = "") -> Any:
        """Return the rows of a stage's result as a table: its history, the points of its fit, its
        curve.

        In a sweep, name the stage as `"widths=50-50/flow"`; without a name, the table has a row for
        each run, with the values swept and the numbers of all stages. A [collect] table is
        `"collect.speed"`. Returns a `pandas.DataFrame`
        if pandas is installed, otherwise a dictionary of NumPy columns. Raises `KeyError` for an
        unknown stage, `ValueError` for one without rows.
        """
        if stage == "" and self.document is not None and self.document.sweep is not None:
            return _frame(runs_table(self.document, self.results))
        if stage == "":
            raise KeyError(f"name a stage of this run; there are {listed([*self.results])}")
        table = str(stage).removeprefix("collect.")
        if stage == f"collect.{table}" and table in self.collected:
            return _frame(self.collected[table].columns())
        directory, name, result = self._of(stage)
        try:
            return _frame(columns_with_errors(result.columns()))
        except ValueError:
            if directory.has_array(name):
                said = f"{stage!r} found no rows, but an array: array({stage!r}) reads it"
                raise ValueError(said) from None
            raise

    def network(
        self, stage: str = "", replica: int | None = 0, *, modules: Modules | None = None
    ) -> Any:
        """Return the network that a train stage has trained, by default the only such stage: an
        Equinox module in inference mode, which takes one example. In a sweep, name the stage as
        `"widths=50-50/train"`.

        `replica` counts from 0; None returns all, stacked along a first axis of each array, for
        `equinox.filter_vmap`. `modules` are those of `run`, if the model is `external`. The arrays
        have the document's precision: for float64, set `jax_enable_x64` before.

        Raises `SpecError` if there is no such stage, it is not done or has trained no weights, and
        `ValueError` if there is no such replica.

        >>> import tempfile, ceflow, jax
        >>> from ceflow.spec import Digits, Document, Mlp, Train
        >>> document = Document(
        ...     model=Mlp(widths=[32]), data=Digits(train=500, test=100), precision="float32",
        ...     stages={"train": Train(steps=200, batch=20)},
        ... )
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run = ceflow.run(document, folder)
        ...     network, test = run.network("train"), run.data().test
        >>> outputs = jax.vmap(network)(test.x)
        >>> outputs.shape, bool((outputs.argmax(1) == test.y.argmax(1)).mean() > 0.8)
        ((100, 10), True)
        """
        run, _, name = stage.rpartition("/")
        return network(self._below(run), name or None, replica, modules=modules)

    def data(self, run: str = "") -> "Dataset":
        """Load the examples as the stages saw them: `train.x`, `train.y`, `test.x` and `test.y`,
        prepared, in the shape that the network takes and in the document's precision. In a sweep,
        name the run, as `"widths=50-50"`.

        They are read again from where they came from, all into memory; `ceflow.data.stream` reads
        some at a time. Raises `SpecError` if their files are gone, and `ValueError` if there are no
        data, or not as many as there were.

        >>> import tempfile, ceflow
        >>> from ceflow.spec import Digits, Document, Kernel, Mlp
        >>> data = Digits(train=5, test=2, scale=0.5)
        >>> document = Document(model=Mlp(widths=[8]), data=data, stages={"k": Kernel()})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     found = ceflow.run(document, folder).data()
        >>> found.train.x.shape, found.test.y.shape, float(found.train.x.max()), found.unit
        ((5, 64), (2, 10), 0.5, 16)
        """
        return examples(self._below(run))

    def _below(self, run: str) -> Path:
        """Find the directory of a run of a sweep; that of a single run has no name."""
        known = [name.removesuffix("/") for name, _ in self._of_runs()]
        if run not in known:
            of = f"RUN is one of {listed(known)}" if known != [""] else "this is one run"
            raise KeyError(f"there is no run {run!r}; {of}")
        return self.path / run

    def figure(self, name: str) -> "Figure":
        """Draw a figure of the report as a `matplotlib.figure.Figure`, to be changed and saved.

        `name` is that of a stage and its curve, as `"alpha.law"`, or of the stage alone if it has
        one; of a [collect] table as `"collect.speed"`; in a sweep, `"widths=50-50/alpha.law"`.
        Raises `KeyError`, with the names that there are, for another.
        """
        drawings = dict(self._drawings())
        alone = [drawing for each, drawing in drawings.items() if each.startswith(f"{name}.")]
        if name not in drawings and len(alone) != 1:
            raise KeyError(f"there is no figure {name!r}; there are {listed(list(drawings))}")
        return figure_of(drawings[name] if name in drawings else alone[0])

    def _drawings(self) -> Iterator[tuple[str, Drawing]]:
        for name, collected in self.collected.items():
            drawing = collected_drawing(name, collected)
            if drawing is not None:
                yield f"collect.{name}", drawing
        for run, results in self._of_runs():
            for stage, name, drawing in results.drawings() if isinstance(results, Results) else ():
                yield f"{run}{stage}.{name}", drawing

    def _of_runs(self) -> list[tuple[str, Any]]:
        """List the results of each run, with what to put before the names of its stages."""
        if isinstance(self.results, Results):
            return [("", self.results)]
        return [(f"{run}/", results) for run, results in self.results.items()]

    def _of(self, stage: str) -> tuple[RunDirectory, str, Any]:
        """Find the directory, the name in it, and the result of a stage. The name may be that of a
        second array, such as `"kernel.stderr"`.
        """
        if not isinstance(stage, str):
            raise TypeError(f"the name of a stage must be a string, not a {type(stage).__name__}")
        run, _, name = stage.rpartition("/")
        results = self.results
        if not isinstance(results, Results) and all(
            isinstance(each, Results) for each in results.values()
        ):  # a sweep
            if run not in results:
                said = f"there is no run {run!r}" if run else f"{stage!r} names no run and stage"
                raise KeyError(f"{said}; RUN/STAGE is wanted, of the runs {listed([*results])}")
            results = results[run]
        elif run:
            raise KeyError(f"there is no {stage!r}: this is one run; its stages are {[*results]}")
        found = name.partition(".")[0]
        if found not in results:
            known = f"; there are {listed([*results])}" if results else ""
            raise KeyError(f"no stage {found!r} is done{known}")
        return RunDirectory(self.path / run), name, results[found]

    def _repr_html_(self) -> str:
        """Show the run in a notebook as in the terminal; for a sweep, a summary."""
        if isinstance(self.results, Results):
            return self.results._repr_html_()
        runs = tuple((name, ", ".join(done)) for name, done in self.results.items())
        return section(f"sweep of {len(runs)} runs", [Table(("run", "stages done"), runs)])


def _frame(columns: "dict[str, np.ndarray]") -> Any:
    """Return columns as a `pandas.DataFrame` if pandas is installed, otherwise as they are."""
    try:
        from pandas import DataFrame  # pyright: ignore[reportMissingImports]
    except ImportError:
        return columns
    return DataFrame({key: list(column) for key, column in columns.items()})


def run(
    document: Document,
    out: str | Path | None = None,
    *,
    modules: Modules | None = None,
    observe: Observer = ignore,
    fail_fast: bool = False,
) -> Run:
    """Check a document, run its stages in order, and write a run directory.

    `out` is the directory; by default `runs/NAME`, numbered if that is taken. An unfinished run of
    the same document is resumed: its finished stages are kept. A sweep writes a run directory for
    each of its documents inside its own. `modules` are functions that make modules, by the names in
    `external` models: see `ceflow.spec.External`. `observe` is called with progress events. Figures
    are drawn by the command `ceflow run` only.

    If a stage fails, only the stages that refer to it are skipped; with `fail_fast` all later ones.
    At the end `RunError` is raised: its `run` has the results of all stages done, its `failures`
    the reasons. The same call again runs only what failed or is missing.

    Raises `SpecError` before anything is written if the document has faults or would not fit in
    memory.

    >>> import tempfile, ceflow
    >>> from ceflow.spec import Document, Mlp, Variance
    >>> model = Mlp(widths=[20, 20], inputs=3, outputs=1)
    >>> document = Document(model=model, stages={"alpha": Variance()})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     round(ceflow.run(document, folder).results["alpha"]["alpha"], 2)
    2.91
    """
    plan = compile(document, modules=modules)
    return run_prepared(prepare(plan), out, observe=observe, fail_fast=fail_fast)


def run_prepared(
    prepared: Prepared,
    out: str | Path | None = None,
    *,
    observe: Observer = ignore,
    fail_fast: bool = False,
    needs: Mapping[str, Needs] | None = None,
) -> Run:
    """Run a prepared document; like `run`, without checking it again. The forecast `needs` of its
    stages are kept in the run directory.
    """
    if out is not None and "\0" in str(out):
        raise SpecError(Fault("CE501", "the path of a run has a null character, which no file has"))
    with machine.fewer_collections():
        work = perform(prepared.plan, out, observe, fail_fast=fail_fast, needs=needs)
    done = Run(work.directory.path, work.found, work.collected, prepared.plan.document)
    if work.failures:
        raise RunError(done, tuple(work.failures)) from work.cause
    return done


def open(path: str | Path) -> Run:
    """Open a begun run from its directory alone, with the results of all stages done.

    Raises `SpecError` if there is no run, or its files are damaged.

    >>> import tempfile, ceflow
    >>> from ceflow.spec import Document, Mlp, Variance
    >>> model = Mlp(widths=[20, 20], inputs=3, outputs=1)
    >>> document = Document(model=model, stages={"alpha": Variance()})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = ceflow.run(document, folder).path
    ...     round(ceflow.open(path).results["alpha"]["alpha"], 2)
    2.91
    """
    directory = RunDirectory(path)
    plan = reopen(directory)
    known, _ = known_results(directory, plan.document.stages)
    if plan.document.sweep is None:
        found = Results(directory, plan.document, known["stages"])
        return Run(directory.path, found, read_collected(known)[0], plan.document)
    results = {}
    for name, document in plan.variants.items():
        below = RunDirectory(directory.path / name)
        if below.exists:
            values: Values = {"stages": {}}
            with suppress(Damaged):  # what the others have found is there all the same
                values, _ = known_results(below, document.stages)
            results[name] = Results(below, document, values["stages"])
    return Run(directory.path, results, read_collected(known)[0], plan.document)

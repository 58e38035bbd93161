"""Comparison of runs: what differs in their documents and results, and what they took."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from ceflow.blocks import Cell, Curve, Note, ReportBlock, Table, defined, number
from ceflow.blocks.html import section
from ceflow.compiler import Plan
from ceflow.report.figures import alike
from ceflow.report.text import ABSENT, known, seconds, size
from ceflow.report.trouble import trouble
from ceflow.runs import Results, known_results, reopen
from ceflow.runs.numbers import numbers_of
from ceflow.runs.record import read_state
from ceflow.spec import Fault, SpecError, tree_of
from ceflow.stages import Values
from ceflow.store import RunDirectory

STDERR = "_stderr"
"""End of the keys of standard errors, which are shown with their numbers."""


@dataclass(frozen=True)
class ComparedRun:
    """One of the runs that are compared."""

    name: str
    plan: Plan
    results: Results
    state: Values
    lost: Mapping[str, str]
    """Why results of stages cannot be used, by stage."""

    @property
    def keys(self) -> dict[str, Any]:
        """The resolved document, as values by dotted path."""
        return dict(_flat(tree_of(self.plan.resolved(), defaults=True)))

    @property
    def numbers(self) -> dict[str, Cell | None]:
        """The numbers of all stages, by stage and key."""
        return dict(numbers_of(self.results.found))


@dataclass(frozen=True)
class Comparison:
    """The runs, in the order given, and what differs between them."""

    runs: tuple[ComparedRun, ...]

    @property
    def document(self) -> dict[str, list[Any]]:
        """The keys of the documents whose values differ; None where a run has no such key."""
        return _differing([run.keys for run in self.runs])

    @property
    def results(self) -> dict[str, list[Any]]:
        """The numbers of the results that differ; None where there is none."""
        return _differing([run.numbers for run in self.runs])

    def took(self, what: str) -> dict[str, list[float | None]]:
        """Return the `seconds` or the `memory` of each stage of each run."""
        stages = dict.fromkeys(name for run in self.runs for name in run.state["stages"])
        return {
            name: [run.state["stages"].get(name, {}).get(what) for run in self.runs]
            for name in stages
        }

    def as_json(self) -> Values:
        """Return all of it as JSON values."""
        return {
            "runs": [run.name for run in self.runs],
            "document": self.document,
            "results": self.results,
            "seconds": self.took("seconds"),
            "memory": self.took("memory"),
        }

    def sections(self) -> Iterator[tuple[str, list[ReportBlock]]]:
        """Yield the title and the blocks of each part of the report."""
        if unsound := list(self._unsound()):
            yield "what is missing", unsound
        yield "documents", list(self._documents())
        yield "results", list(self._results())
        for name, curve in alike(self._curves, least=len(self.runs)):
            yield name, [curve]
        if apart := list(self._apart()):
            yield "not drawn", apart
        yield "what they took", [self._costs()]

    def _repr_html_(self) -> str:
        """Show the comparison in a notebook as in the terminal."""
        return "\n".join(section(title, blocks) for title, blocks in self.sections())

    @property
    def _heads(self) -> tuple[str, ...]:
        return tuple(run.name for run in self.runs)

    def _unsound(self) -> Iterator[ReportBlock]:
        """Say what is missing in unfinished and damaged runs."""
        for run in self.runs:
            for line in trouble(run.results.directory.path, run.state, run.lost):
                yield Note(f"{run.name}: {line}", warning=True)

    def _documents(self) -> Iterator[ReportBlock]:
        differing = self.document
        if not differing:
            yield Note("the documents are the same")
            return
        rows = ((key, *map(_written, values)) for key, values in differing.items())
        yield Table(("key", *self._heads), tuple(rows))

    def _results(self) -> Iterator[ReportBlock]:
        differing, numbers = self.results, [run.numbers for run in self.runs]
        keys = [key for key in differing if not key.endswith(STDERR)]
        two = len(self.runs) == 2
        if keys:
            heads = ("number", *self._heads, *(("second - first", "second / first") if two else ()))
            errors = {key: [each.get(key + STDERR) for each in numbers] for key in keys}
            rows = (_row(key, differing[key], errors[key]) for key in keys)
            yield Table(heads, tuple(rows))
        every = {key for each in numbers for key in each if not key.endswith(STDERR)}
        if same := len(every) - len(keys):
            yield Note(f"{same} {'number is' if same == 1 else 'numbers are'} the same")

    @cached_property
    def _curves(self) -> dict[str, dict[str, Curve]]:
        """The curves of each run, by name."""
        return {
            run.name: {
                f"{stage}.{name}": drawing
                for stage, name, drawing in run.results.drawings()
                if isinstance(drawing, Curve)
            }
            for run in self.runs
        }

    def _apart(self) -> Iterator[ReportBlock]:
        """Say which curves the runs have over different axes, such as steps and time."""
        for name in dict.fromkeys(name for curves in self._curves.values() for name in curves):
            axes = {run: its[name].x_label for run, its in self._curves.items() if name in its}
            if len(set(axes.values())) > 1:
                over = ", ".join(f"{label} in {run}" for run, label in axes.items())
                yield Note(f"{name} is over {over}: one figure cannot show both")

    def _costs(self) -> Table:
        times, memory = self.took("seconds"), self.took("memory")
        heads = (f"{what}, {name}" for what in ("time", "memory") for name in self._heads)
        rows = (
            (
                stage,
                *(known(each, seconds) for each in times[stage]),
                *(known(each, size) for each in memory[stage]),
            )
            for stage in times
        )
        return Table(("stage", *heads), tuple(rows))


def compared(paths: Sequence[str]) -> Comparison:
    """Open runs, to compare them. Raises `SpecError` for what is no run, or a whole sweep."""
    names = _names(paths)
    return Comparison(tuple(_opened(*each) for each in zip(names, paths, strict=True)))


def _opened(name: str, path: str) -> ComparedRun:
    directory = RunDirectory(path)
    plan = reopen(directory)
    if plan.document.sweep:
        first = next(iter(plan.variants))
        help = f"name some of its runs, such as {directory.path / first}"
        raise SpecError(
            Fault("CE501", f"{path} is a sweep of {len(plan.variants)} runs", help=help)
        )
    known, lost = known_results(directory, plan.document.stages)
    results = Results(directory, plan.document, known["stages"])
    return ComparedRun(name, plan, results, read_state(directory), lost)


def _names(paths: Sequence[str]) -> list[str]:
    """Name runs by the last part of their paths, or by the whole of them if two would be alike."""
    last = [RunDirectory(path).path.name for path in paths]
    names = last if len(set(last)) == len(last) else list(paths)
    again = [names[:at].count(name) for at, name in enumerate(names)]  # a run beside itself
    return [f"{n} ({count + 1})" if count else n for n, count in zip(names, again, strict=True)]


def _flat(tree: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the values in a tree of tables, by dotted path."""
    if not isinstance(tree, dict):
        yield path, tree
        return
    for key, value in tree.items():
        yield from _flat(value, f"{path}.{key}" if path else key)


def _differing(tables: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Return the keys whose values are not the same in all tables, with the values of each."""
    keys = dict.fromkeys(key for table in tables for key in table)
    values = {key: [table.get(key) for table in tables] for key in keys}
    return {
        key: several
        for key, several in values.items()
        if any(each != several[0] for each in several)
        or len({key in table for table in tables}) > 1
    }


def _written(value: Any) -> str:
    if value is None:
        return ABSENT
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _row(key: str, values: Sequence[Any], errors: Sequence[Any]) -> tuple[Cell, ...]:
    """Write a number of each run with its error; of two runs, their difference and ratio too."""
    cells = [
        _with_error(ABSENT if value is None else defined(value), error)
        for value, error in zip(values, errors, strict=True)
    ]
    if len(values) != 2:
        return (key, *cells)
    one, two = values
    if not all(isinstance(each, int | float) for each in values):
        return (key, *cells, "", "")
    found = [error for error in errors if isinstance(error, int | float)]
    apart = _with_error(two - one, math.hypot(*found) if found else None)
    return (key, *cells, apart, two / one if one else "")


def _with_error(value: Cell, error: Any) -> Cell:
    return value if error is None else f"{number(value)} ± {error:.2g}"

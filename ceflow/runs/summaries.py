"""A run in a few lines of text, as Python shows it, and a sweep as a table of its runs."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceflow.history import History
from ceflow.runs.measured import with_errors
from ceflow.runs.numbers import is_number, numbers_of
from ceflow.runs.record import in_a_word, read_state
from ceflow.runs.results import Results
from ceflow.spec import Document, at_path, tree_of, value_label
from ceflow.store import Damaged, RunDirectory

if TYPE_CHECKING:
    import numpy as np

MOST_RUNS = 8
"""Maximum number of runs of a sweep that its text lists."""


def run_text(path: Path, results: Results) -> str:
    """Describe one run: its state, the main number of each stage, and how to read more."""
    stages = results.document.stages
    rows = [(name, stage.type, _found(path, results, name)) for name, stage in stages.items()]
    first = next(iter(results), None)
    more = f'run.results["{first}"], run.frame("{first}")' if first else ""
    return _text(f"run {path}", path, rows, more)


def sweep_text(path: Path, runs: Mapping[str, Results]) -> str:
    """Describe a sweep: its state, the main numbers of its first runs, and how to read more."""
    rows = [
        (name, ", ".join(_found(path / name, results, stage) for stage in results.document.stages))
        for name, results in list(runs.items())[:MOST_RUNS]
    ]
    left = len(runs) - len(rows)
    rows += [(f"... {left} more",)] if left else []
    first = next(((name, stage) for name, found in runs.items() for stage in found), None)
    more = f'run.results["{first[0]}"]["{first[1]}"], run.frame()' if first else ""
    return _text(f"sweep {path}, {len(runs)} runs", path, rows, more)


def _text(title: str, path: Path, rows: list[tuple[str, ...]], more: str) -> str:
    """Write a title, a line for each row in columns, and where to read more."""
    whole = [row for row in rows if len(row) > 1]
    widths = [max(map(len, column)) for column in zip(*whole, strict=True)][:-1]
    lines = ["  ".join(("", *map(str.ljust, row, (*widths, 0)))).rstrip() for row in rows]
    return "\n".join([f"{title}: {_state(path)}", *lines, *([f"see {more}"] if more else [])])


def _state(path: Path) -> str:
    try:
        return in_a_word(path, read_state(RunDirectory(path)))
    except (Damaged, TypeError):
        return "its files are damaged or gone"


def _found(path: Path, results: Results, name: str) -> str:
    """Write the main number of a stage, or why there is none."""
    try:
        if name in results:
            return results[name].headline()
        stage = read_state(RunDirectory(path))["stages"].get(name, {})
    except (Damaged, TypeError):
        return "damaged"
    return stage.get("state", "not done")


def runs_table(document: Document, runs: Mapping[str, Results]) -> "dict[str, np.ndarray]":
    """Tabulate the runs of a sweep as columns: their names, the values swept, and the numbers of
    all stages, as `flow.train_loss`.
    """
    import numpy as np

    swept = dict(_swept(document, runs))
    found = History.of_lines(
        [dict(numbers_of(with_errors(results.found))) for results in runs.values()]
    )
    first = {"run": list(runs), **swept}
    return {
        **{key: np.array(column) for key, column in first.items()},
        **{key: found[key] for key in found.columns},
    }


def _swept(document: Document, runs: Mapping[str, Results]) -> Iterator[tuple[str, list[Any]]]:
    """Yield each swept path with its value in every run: numbers, or else text."""
    trees = [tree_of(results.document, defaults=True) for results in runs.values()]
    for path in document.sweep.paths if document.sweep else ():
        values = [at_path(tree, path) for tree in trees]
        yield path, values if all(map(is_number, values)) else list(map(value_label, values))

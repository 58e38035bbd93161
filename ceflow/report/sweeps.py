"""Comparison of a sweep's runs: what went wrong in them, and a table of the numbers that differ."""

from collections.abc import Mapping, Sequence
from typing import Any

from ceflow.blocks import Cell, Note, ReportBlock, Table, defined
from ceflow.runs.numbers import listed, numbers_of
from ceflow.stages import Values

MOST_COLUMNS = 12
"""Maximum number of columns in the table."""

MOST_WARNINGS = 8
"""Maximum number of different warnings shown."""

MOST_NAMES = 6
"""Maximum number of runs or columns named in a sentence."""

NOT_DONE = "not done"


def sweep_blocks(runs: Mapping[str, dict[str, Values]]) -> list[ReportBlock]:
    """Show the warnings of all stages, then a row per run with what differs between runs.

    The table has the numbers of the stages, and how their descents ended; stages whose numbers
    repeat between runs, as those of a search do between seeds, come after the others. If there are
    too many, each stage has its share of the columns, and a last sentence names those that are left
    out.
    """
    values = {run: dict(numbers_of(results)) for run, results in runs.items()}
    keys = [
        key
        for key in dict.fromkeys(key for found in values.values() for key in found)
        if any(found.get(key) is not None for found in values.values())
    ]
    differ = _in_order([key for key in keys if _differs(key, values, runs)], values)
    shown = _shared(differ, MOST_COLUMNS)
    left = [key for key in differ if key not in shown]
    heads, named = _by_path(list(values))
    rows = tuple(
        (*name, *(_cell(key, found, runs[run]) for key in shown))
        for name, (run, found) in zip(named, values.items(), strict=True)
    )
    rest = (
        [Note(f"these differ too, and are in results.json: {listed(left, MOST_NAMES)}")]
        if left
        else []
    )
    return [*_warnings(runs), Table((*heads, *shown), rows), *rest]


def _in_order(keys: Sequence[str], values: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Sort the keys of stages with more different rows before others, and leave out a number that
    another one of the same name repeats in all runs.

    >>> runs = {"seed=0": {"best.m": 2, "best.model.m": 2, "train.loss": 0.5}}
    >>> runs["seed=1"] = {"best.m": 2, "best.model.m": 2, "train.loss": 0.4}
    >>> _in_order(["best.m", "best.model.m", "train.loss"], runs)
    ['train.loss', 'best.m']
    """
    once: dict[tuple[Any, ...], str] = {}
    for key in keys:
        column = (found.get(key) for found in values.values())
        once.setdefault((_stage(key), key.rpartition(".")[2], *column), key)
    kept = list(once.values())

    def different(stage: str) -> int:
        own = [key for key in kept if _stage(key) == stage]
        return len({tuple(found.get(key) for key in own) for found in values.values()})

    rows = {stage: different(stage) for stage in dict.fromkeys(map(_stage, kept))}
    return sorted(kept, key=lambda key: -rows[_stage(key)])


def _shared(keys: Sequence[str], most: int) -> list[str]:
    """Choose so many of the keys, the first of each stage in turn, in the order given.

    >>> _shared(["best.a", "best.b", "best.c", "train.a", "train.b"], 3)
    ['best.a', 'best.b', 'train.a']
    """
    stages = [_stage(key) for key in keys]
    turns = {key: stages[:index].count(_stage(key)) for index, key in enumerate(keys)}
    chosen = sorted(keys, key=turns.__getitem__)[:most]
    return [key for key in keys if key in chosen]


def _by_path(runs: Sequence[str]) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Split names of runs such as `size=5,seed=0` into columns, if they have the same two or more
    keys; otherwise their names are the one column.

    >>> _by_path(["size=5,seed=0", "size=9,seed=1"])
    (('size', 'seed'), [('5', '0'), ('9', '1')])
    """
    parts = [[part.partition("=") for part in run.split(",")] for run in runs]
    keys = {tuple(key for key, _, _ in each) for each in parts}
    whole = all(sign for each in parts for _, sign, _ in each)
    if len(keys) != 1 or not whole or len(parts[0]) < 2:
        return ("run",), [(run,) for run in runs]
    return keys.pop(), [tuple(value for _, _, value in each) for each in parts]


def _differs(
    key: str, values: Mapping[str, Mapping[str, Any]], runs: Mapping[str, dict[str, Values]]
) -> bool:
    """Tell whether a number differs between the runs that have done its stage."""
    done = [found.get(key) for run, found in values.items() if _stage(key) in runs[run]]
    return len(set(done)) > 1


def _warnings(runs: Mapping[str, dict[str, Values]]) -> list[Note]:
    """Say each warning once, with the runs whose stages gave it."""
    given: dict[tuple[str, str], list[str]] = {}
    for run, results in runs.items():
        for stage, values in results.items():
            for text in values.get("warnings", ()):
                given.setdefault((stage, text), []).append(run)
    notes = [
        Note(f"{stage} of {listed(where, MOST_NAMES)}: {text}", warning=True)
        for (stage, text), where in given.items()
    ]
    left = len(notes) - MOST_WARNINGS
    more = [Note(f"{left} more warnings are in results.json", warning=True)] if left > 0 else []
    return [*notes[:MOST_WARNINGS], *more]


def _cell(key: str, numbers: Mapping[str, Cell | None], results: Mapping[str, Values]) -> Cell:
    """Return a number, or say that it is undefined or that its stage is not done.

    The cell is empty if the stage in this run has no such number.
    """
    if _stage(key) not in results:
        return NOT_DONE
    return defined(numbers[key]) if key in numbers else ""


def _stage(key: str) -> str:
    return key.split(".")[0]  # no stage has a dot in its name

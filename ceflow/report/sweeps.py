"""The runs of a sweep beside each other: a table, and why cells of it have no number."""

from collections.abc import Iterator, Mapping

from ceflow.blocks import Cell, Note, ReportBlock, Table, defined
from ceflow.stages import Values

COLUMNS = 8
"""Numbers of each run in the table."""

REASONS = 8
"""Runs of which it is said why a number is missing."""

NOT_DONE = "not done"


def sweep_blocks(runs: Mapping[str, dict[str, Values]]) -> list[ReportBlock]:
    """Tabulate a row a run: the numbers that its stages found and that differ from run to run.

    Below it stands what the stages say of those that are undefined."""
    numbers = {run: dict(_of_stages(results)) for run, results in runs.items()}
    keys = [
        key
        for key in dict.fromkeys(key for found in numbers.values() for key in found)
        if any(found.get(key) is not None for found in numbers.values())
    ]
    differ = [key for key in keys if len({found.get(key) for found in numbers.values()}) > 1]
    shown = differ[:COLUMNS]
    rows = tuple(
        (run, *(_cell(key, found, runs[run]) for key in shown)) for run, found in numbers.items()
    )
    reasons = [
        Note(f"undefined in {run}, {stage}: {why}", warning=True)
        for run, found in numbers.items()
        for stage in dict.fromkeys(_stage(key) for key in shown if found.get(key, 0) is None)
        for why in runs[run][stage].get("warnings", ())
    ]
    left = len(reasons) - REASONS
    more = [Note(f"{left} more such warnings are in results.json")] if left > 0 else []
    return [Table(("run", *shown), rows), *reasons[:REASONS], *more]


def _cell(key: str, numbers: Mapping[str, float | None], results: Mapping[str, Values]) -> Cell:
    """Write a number, or that it is undefined, or that its stage is not done.

    It is empty where a stage of this run has no such number."""
    if _stage(key) not in results:
        return NOT_DONE
    return defined(numbers[key]) if key in numbers else ""


def _stage(key: str) -> str:
    return key.split(".")[0]  # no stage has a dot in its name


def _of_stages(results: Mapping[str, Values]) -> Iterator[tuple[str, float | None]]:
    for stage, values in results.items():
        yield from ((f"{stage}.{key}", value) for key, value in _numbers(values))


def _numbers(values: Values) -> Iterator[tuple[str, float | None]]:
    """List the numbers of a stage, undefined ones among them, and then those of its tables."""
    for key, value in values.items():
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield key, value
    for name, table in values.items():
        if isinstance(table, dict):
            yield from ((f"{name}.{key}", value) for key, value in _numbers(table))

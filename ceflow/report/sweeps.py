"""Comparison of a sweep's runs: a table, and why numbers in it are missing."""

from collections.abc import Iterator, Mapping

from ceflow.blocks import Cell, Note, ReportBlock, Table, defined
from ceflow.stages import Values

MOST_COLUMNS = 8
"""Maximum number of columns of numbers in the table."""

MOST_REASONS = 8
"""Maximum number of runs for which the reason of a missing number is given."""

NOT_DONE = "not done"


def sweep_blocks(runs: Mapping[str, dict[str, Values]]) -> list[ReportBlock]:
    """Tabulate one row per run, with the numbers of its stages that differ between runs.

    Below the table are the stages' explanations of undefined numbers.
    """
    numbers = {run: dict(_of_stages(results)) for run, results in runs.items()}
    keys = [
        key
        for key in dict.fromkeys(key for found in numbers.values() for key in found)
        if any(found.get(key) is not None for found in numbers.values())
    ]
    differ = [key for key in keys if len({found.get(key) for found in numbers.values()}) > 1]
    shown = differ[:MOST_COLUMNS]
    rows = tuple(
        (run, *(_cell(key, found, runs[run]) for key in shown)) for run, found in numbers.items()
    )
    reasons = [
        Note(f"undefined in {run}, {stage}: {why}", warning=True)
        for run, found in numbers.items()
        for stage in dict.fromkeys(_stage(key) for key in shown if found.get(key, 0) is None)
        for why in runs[run][stage].get("warnings", ())
    ]
    left = len(reasons) - MOST_REASONS
    more = [Note(f"{left} more such warnings are in results.json")] if left > 0 else []
    return [Table(("run", *shown), rows), *reasons[:MOST_REASONS], *more]


def _cell(key: str, numbers: Mapping[str, float | None], results: Mapping[str, Values]) -> Cell:
    """Return a number, or say that it is undefined or that its stage is not done.

    The cell is empty if the stage in this run has no such number.
    """
    if _stage(key) not in results:
        return NOT_DONE
    return defined(numbers[key]) if key in numbers else ""


def _stage(key: str) -> str:
    return key.split(".")[0]  # no stage has a dot in its name


def _of_stages(results: Mapping[str, Values]) -> Iterator[tuple[str, float | None]]:
    for stage, values in results.items():
        yield from ((f"{stage}.{key}", value) for key, value in _numbers(values))


def _numbers(values: Values) -> Iterator[tuple[str, float | None]]:
    """Yield the numbers of a stage, including undefined ones, then those of its tables."""
    for key, value in values.items():
        if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield key, value
    for name, table in values.items():
        if isinstance(table, dict):
            yield from ((f"{name}.{key}", value) for key, value in _numbers(table))

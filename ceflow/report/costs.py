"""The time and memory that the stages of a run took, beside the forecast."""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Any

from ceflow.blocks import Cell, Table
from ceflow.compiler import Plan
from ceflow.report.text import ABSENT, known, of_sessions, seconds, size
from ceflow.runs.record import read_state
from ceflow.stages import Values
from ceflow.store import Damaged, RunDirectory


def cost_table(directory: RunDirectory, plan: Plan, state: Values) -> Table:
    """Tabulate the time and memory of each stage beside the forecast; of a sweep, of all runs."""
    swept = plan.document.sweep is not None
    states = list(_states(directory, plan)) if swept else [state]
    forecast = state.get("forecast") or {}
    rows = []
    for name in plan.document.stages:
        found = [each["stages"][name] for each in states if name in each["stages"]]
        times, peaks = _known(found, "seconds"), _known(found, "memory")
        done = sum(each["state"] == "done" for each in found)
        alone = found[0]["state"] if found else "not begun"
        sessions = 1 if swept or not found else found[0].get("sessions", 1)
        expected = forecast.get(name, {})
        cells: list[Cell] = [
            name,
            f"{done} of {len(plan.variants)} runs" if swept else alone,
            seconds(sum(times)) + of_sessions(sessions) if times else ABSENT,
            *([known(max(times, default=None), seconds)] if swept else []),
            known(expected.get("seconds"), seconds),
            known(max(peaks, default=None), size),
            known(expected.get("memory"), size),
        ]
        rows.append(tuple(cells))
    time = ("time in all", "longest", "forecast of that") if swept else ("time", "forecast")
    return Table(("stage", "done", *time, "peak memory", "forecast of it"), tuple(rows))


def _states(directory: RunDirectory, plan: Plan) -> Iterator[Values]:
    """Yield the states of the runs of a sweep that were begun."""
    for run in plan.variants:
        below = RunDirectory(directory.path / run)
        with suppress(Damaged):  # the others took what they took
            if below.exists:
                yield read_state(below)


def _known(found: Sequence[Values], key: str) -> list[Any]:
    return [each[key] for each in found if each.get(key) is not None]

"""A report's sections, each with a name and blocks: what terminal and page draw."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ceflow.blocks import Note, ReportBlock
from ceflow.compiler import Plan
from ceflow.report.sweeps import sweep_blocks
from ceflow.report.trouble import GO_ON
from ceflow.runs import Results, known_results, read_collected
from ceflow.runs.describing import collected_answer, collected_blocks
from ceflow.stages import Result, Values, kind_of
from ceflow.store import Damaged, RunDirectory


@dataclass(frozen=True)
class Section:
    """A part of a report, with the name and the kind of its stage, and the seconds it took, in how
    many sessions.

    The comparison of a sweep's runs has no name. `answer` says in a sentence what was found; it is
    empty if there is none.
    """

    name: str
    kind: str
    blocks: list[ReportBlock]
    seconds: float | None = None
    answer: str = ""
    sessions: int = 1


def run_sections(directory: RunDirectory, plan: Plan) -> Iterator[Section]:
    """Yield what a run found, from its directory alone: of a sweep the runs side by side; each
    stage, and stages of one kind side by side; and what is collected.
    """
    known, _ = known_results(directory, plan.document.stages)
    if plan.document.sweep:
        yield Section("", "sweep", sweep_blocks(known.get("runs", {})))
        yield from _collected(known)
    results: dict[str, Result] = {}
    damaged: dict[str, Damaged] = {}
    found = Results(directory, plan.document, known["stages"])
    for name in found:
        try:
            results[name] = found[name]
        except Damaged as damage:
            damaged[name] = damage
    state = directory.read_json("run.json")
    for name, stage in plan.document.stages.items():
        if name in damaged:
            yield Section(name, stage.type, [Note(str(damaged[name]), warning=True)])
        if name in results:
            kind, result = kind_of(stage), results[name]
            its_state, answer = state["stages"].get(name, {}), kind.answer(result)
            took = its_state.get("seconds"), answer, its_state.get("sessions", 1)
            yield Section(name, stage.type, kind.describe(result), *took)
    yield from _side_by_side(plan, results)
    if plan.document.sweep is None:  # what compares the stages follows them
        yield from _collected(known)


def _collected(known: Values) -> Iterator[Section]:
    """Yield each [collect] table, or why it cannot be read."""
    collected, lost = read_collected(known)
    for name, each in collected.items():
        yield Section(name, "collect", collected_blocks(name, each), answer=collected_answer(each))
    for name, why in lost.items():
        yield Section(name, "collect", [Note(f"{why}; {GO_ON}", warning=True)])


def _side_by_side(plan: Plan, results: Mapping[str, Result]) -> Iterator[Section]:
    for kind in dict.fromkeys(map(kind_of, plan.document.stages.values())):
        alike = {
            name: results[name]
            for name, stage in plan.document.stages.items()
            if kind_of(stage) is kind and name in results
        }
        if blocks := kind.overview(alike):
            yield Section("side by side", "", blocks)

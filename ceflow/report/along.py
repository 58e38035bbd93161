"""The networks of a sweep along a curve that a search finds."""

from collections.abc import Iterator

from ceflow.blocks import counted
from ceflow.compiler import Plan
from ceflow.runs.prepared import expected_models
from ceflow.spec import Search, network_name


def networks_along(plan: Plan) -> list[str]:
    """Write each network of a sweep along a curve, by its multiplicity and widths, and in how many
    runs it is; empty for other sweeps. What only the run can tell is about so.
    """
    sweep = plan.document.sweep
    if sweep is None or sweep.along is None:
        return []
    names = list(_names(plan, sweep.along))
    return [f"{name}  {counted(names.count(name), 'run')}" for name in dict.fromkeys(names)]


def _names(plan: Plan, along: str) -> Iterator[str]:
    """Yield the name of the network of each run."""
    for run in plan.runs.values():
        stages = run.document.stages
        on = [name for name, stage in stages.items() if stage.model == along]
        if not on:
            continue
        search = Search.expect(stages[along.partition(".")[0]])
        model = expected_models(run)[on[0]].focused(search.at)
        exactly = search.using == "law" and search.alpha is not None
        about = "" if exactly else "about "
        yield about + network_name(int(model.multiplicity), [*map(int, model.widths)])

"""Forecast of a verify stage: the largest memory of any claim, and the work of all in sequence."""

from ceflow.claims.costs import COSTS
from ceflow.compiler import Plan
from ceflow.costs import Work
from ceflow.spec import Model, Verify
from ceflow.stages.stage import Forecast

LOADING_SECONDS = 0.5
"""Seconds to load NumPy and SciPy, and to write histories."""

PROGRAM_BYTES = 5.5e6
"""Bytes that remain in memory per unit of compilation (a small function)."""


def forecast(stage: Verify, plan: Plan, model: Model) -> Forecast:
    """Count the networks at the stage's width, or ensembles with up to 8 times the members."""
    costs = [COSTS[claim](stage, plan, model) for claim in stage.claims]
    size, compilations = plan.itemsize, sum(each.compilations for each in costs)
    work = Work(
        flops=sum(each.flops for each in costs),
        traffic=size * sum(each.moved for each in costs),
        normals=sum(each.normals for each in costs),
        compilations=compilations,
        seconds=LOADING_SECONDS,
    )
    memory = size * _held(stage, plan, model) + PROGRAM_BYTES * compilations
    return Forecast(memory, key=_key(stage, plan, model), work=work)


def _held(stage: Verify, plan: Plan, model: Model) -> float:
    """Return the numbers held by the claim that needs most."""
    return max(COSTS[claim](stage, plan, model).held for claim in stage.claims)


def _key(stage: Verify, plan: Plan, model: Model) -> str:
    """Return the key whose reduction to its default saves most memory; for an ensemble, halving the
    widths of a member is tried too.
    """
    tried: dict[str, tuple[Verify, Model]] = {}
    for key in ("width", "draws", "points", "steps"):
        usual = min(getattr(stage, key), Verify.model_fields[key].default)
        tried[key] = stage.replaced({key: usual}), model
    if model.has_members:
        widths = [-(-width // 2) for width in map(int, model.widths)]
        tried["model.widths"] = stage, model.with_members(widths, model.multiplicity)
    return min(tried, key=lambda key: _held(tried[key][0], plan, tried[key][1]))

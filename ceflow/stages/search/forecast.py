"""What a search stage will need, and near which networks it will end."""

from ceflow import search
from ceflow.compiler import Plan, ensemble_with
from ceflow.search import Exponential
from ceflow.spec import Model, Search, member_of
from ceflow.stages.search.answers import dual_members, primal_members
from ceflow.stages.search.latency import WIDTHS, batch_of
from ceflow.stages.search.problem import counts, problem_of
from ceflow.stages.stage import TYPICAL_ALPHA, Forecast, Work, number_size

POINT = 2e4
"""Bytes of a candidate, in results and on its way there."""


def forecast(stage: Search, plan: Plan, model: Model) -> Forecast:
    candidates = min(1000, max(member_of(model).widths))
    each = {"law": 1e-4, "exact": 1e-3, "curve": 2e-4}[stage.using]
    work = Work(seconds=each * candidates * (10 if stage.space == "free" else 1))
    memory = POINT * candidates
    if stage.cost == "latency":
        work = work._replace(seconds=work.seconds + 6, compilations=4.0 * (WIDTHS + 3))
        memory += (WIDTHS * plan.root.parameters + batch_of(plan) * plan.inputs) * number_size(plan)
    return Forecast(memory=memory, key="model.widths", work=work)


def expect(stage: Search, plan: Plan, model: Model) -> dict[str, Model]:
    """The networks that the search will find, or near them: by the law, along the ratio."""
    costs = counts(plan, stage.cost)
    law = Exponential(stage.alpha or TYPICAL_ALPHA)
    try:
        found = search.optimise(problem_of(stage, plan, model, law, costs))
    except ValueError:
        return dict.fromkeys(stage.offers, model)
    return {
        "primal": ensemble_with(model, found.primal.widths, primal_members(found, found.primal)),
        "dual": ensemble_with(model, found.dual.widths, dual_members(found, found.dual)),
    }

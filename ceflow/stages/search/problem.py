"""From a search stage to the problem that it asks to solve."""

from typing import get_args

from ceflow import search
from ceflow.compiler import Plan
from ceflow.search import Costs, Law, Limit, LimitName, Optimum, Problem
from ceflow.spec import Model, Search
from ceflow.stages.stage import Job


def law_of(job: Job) -> Law:
    """The variance of a member, by the law, in closed form, or as the variance stage measured it.

    Raises `ValueError` where what that stage found is nothing to search by.
    """
    stage = job.stage
    if stage.using == "exact":
        return search.Exact()
    if stage.using == "curve":
        points = job.results[stage.variance]["points"]
        sums, ratios = ([point[key] for point in points] for key in ("fan_in_sum", "moment_ratio"))
        return search.Measured(sums, ratios)
    alpha = stage.alpha or job.results[stage.variance]["alpha"]
    if alpha is None:
        raise ValueError(f"{stage.variance!r} has no alpha to search by; see its warnings")
    return search.Exponential(alpha)


def problem_of(stage: Search, plan: Plan, model: Model, law: Law, costs: Costs) -> Problem:
    """A problem with the limits of the stage's budget."""
    asked = stage.budget.model_dump(exclude_none=True) if stage.budget else {}
    names: list[LimitName] = [name for name in get_args(LimitName) if name in asked]
    limits = (Limit(name, counts(plan, name).whole, asked[name]) for name in names)
    return Problem(model, law, costs, tuple(limits))


def counts(plan: Plan, kind: str) -> Costs:
    """Parameters or FLOPs."""
    return search.counted(plan.expand, "flops" if kind == "flops" else "parameters")


def solve(stage: Search, problem: Problem) -> Optimum:
    """The optimum in the stage's space."""
    solver = search.optimise_freely if stage.space == "free" else search.optimise
    return solver(problem)

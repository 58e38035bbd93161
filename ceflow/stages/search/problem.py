"""From a search stage to the problem that it asks to solve."""

from collections.abc import Iterator

from ceflow import search
from ceflow.compiler import Plan
from ceflow.search import Cost, Costs, Law, Limit, LimitName, Optimum, Problem
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


def problem_of(
    stage: Search, plan: Plan, model: Model, law: Law, costs: Costs, timed: Costs | None = None
) -> Problem:
    """A problem with the limits of the stage's budget: that of a latency where there are times."""
    return Problem(model, law, costs, tuple(limits_of(stage, plan, timed)))


def limits_of(stage: Search, plan: Plan, timed: Costs | None) -> Iterator[Limit]:
    asked = stage.budget.model_dump(exclude_none=True) if stage.budget else {}
    flops = counts(plan, "flops").whole
    costs: dict[LimitName, Cost] = {
        "parameters": counts(plan, "parameters").whole,
        "flops": flops,
        "macs": lambda model: flops(model) / 2,
        **({"latency": timed.whole} if timed else {}),
    }
    for name, cost in costs.items():
        if name in asked:
            yield Limit(name, cost, asked[name])


def counts(plan: Plan, kind: str) -> Costs:
    """Parameters or FLOPs."""
    return search.counted(plan.expand, "flops" if kind == "flops" else "parameters")


def solve(stage: Search, problem: Problem) -> Optimum:
    """The optimum in the stage's space."""
    solver = search.optimise_freely if stage.space == "free" else search.optimise
    return solver(problem)

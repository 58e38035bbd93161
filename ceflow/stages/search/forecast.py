"""Forecast of a search stage, and an estimate of the networks that it will find."""

import math
from collections.abc import Iterator

from ceflow import search
from ceflow.compiler import Plan
from ceflow.search import Costs, Exponential, Law, Problem
from ceflow.search.costs import comparing, timing
from ceflow.search.whole import whole_dual, whole_primal
from ceflow.spec import Fault, Model, Search, SpecError
from ceflow.spec.base import LARGEST_COUNT
from ceflow.stages.search.answers import oversized
from ceflow.stages.search.problem import (
    TIMED_WIDTHS,
    batch_of,
    costs_of,
    counts,
    limits_of,
    problem_of,
    shared_of,
    solve,
    times_of,
)
from ceflow.stages.stage import Forecast
from ceflow.variance.costs import TYPICAL_ALPHA


def forecast(stage: Search, plan: Plan, model: Model) -> Forecast:
    """Count the candidates of the curve, and the timed calls of networks."""
    memory, work = comparing(model, stage.using, free=stage.space == "free")
    if stage.timed and stage.latency is None:
        asked = timing(plan.root, TIMED_WIDTHS + 3 + len(stage.compare), batch_of(plan))
        memory, work = (
            memory + asked.memory,
            asked.work._replace(seconds=asked.work.seconds + work.seconds),
        )
    return Forecast(memory, key="model.widths", work=work)


def expect(stage: Search, plan: Plan, model: Model) -> dict[str, Model]:
    """Estimate the networks that the search will find, by the law and along the ratio."""
    costs = counts(plan, stage.cost)
    law = Exponential(stage.alpha or TYPICAL_ALPHA)
    try:
        optimum = search.optimise(problem_of(stage, plan, model, law, costs))
        answers = {"primal": whole_primal(optimum), "dual": whole_dual(optimum)}
    except ValueError:
        whole: Model = model.whole
        return dict.fromkeys(stage.offers, whole)
    return {
        part: model.with_members(found.candidate.widths, found.members).whole
        for part, found in answers.items()
    }


def faults(name: str, stage: Search, plan: Plan, model: Model) -> Iterator[Fault]:
    """Check the latency file, budgets too small for any network, and budgets whose answer overflows
    a count.
    """
    timed, smallest = None, model.with_members(search.smallest_widths(model), 1)
    least = {limit: limit.cost(smallest) for limit in limits_of(stage, plan, None)}
    if stage.latency is not None:
        try:
            times = times_of(plan, name)
        except SpecError as error:
            yield from (fault.below("latency") for fault in error.faults)
            return
        yield from _unmeasured(times, model)
        shared = shared_of(search.shared_seconds(times), times)
        fastest = shared + min((time.seconds - shared) / time.multiplicity for time in times)
        timed = costs_of(times, shared)
        limits = limits_of(stage, plan, timed)
        least |= {limit: fastest for limit in limits if limit.name == "latency"}
    broken = {limit: cost for limit, cost in least.items() if cost > limit.most}
    for limit, cost in broken.items():
        help = limit.levers(model)
        yield Fault("CE104", limit.refusal(cost), ("budget", limit.name), help=help)
    law = _law(stage)
    if law is None or broken:
        return
    member = model.member
    if stage.model is None and not math.isfinite(law(member)):
        message, _, help = law.why_infinite(member).partition("; ")
        place = "using" if stage.using == "exact" else "alpha"
        yield Fault("CE104", message, (place,), help=help)
    elif timed or not stage.timed:
        yield from _oversized(stage, plan, model, law, timed)


def _law(stage: Search) -> Law | None:
    """Return the law of a member's variance, if it is known before the run."""
    if stage.using == "exact":
        return search.Exact()
    return None if stage.alpha is None else Exponential(stage.alpha)


def _oversized(
    stage: Search, plan: Plan, model: Model, law: Law, timed: Costs | None
) -> Iterator[Fault]:
    """Report answers larger than the largest allowed network, if costs are known without
    running.
    """
    costs = timed if timed and stage.cost == "latency" else counts(plan, stage.cost)
    try:
        problem = problem_of(stage, plan, model, law, costs, timed)
        if not timed and _most(problem) <= LARGEST_COUNT:
            return
        wrong = oversized(solve(stage, problem))
    except (ValueError, OverflowError):  # said by the run, or by another fault
        return
    if wrong:
        place = ("budget",) if stage.budget else ()
        yield Fault("CE104", wrong[0], place, "value" if place else "key", wrong[1])


def _most(problem: Problem) -> float:
    """Return the number of members of the least widths in an answer, which exceeds that of any
    other widths.
    """
    smallest = problem.candidate(search.smallest_widths(problem.baseline))
    return max(smallest.share, smallest.primal_multiplicity)


def _unmeasured(times: list[search.Time], model: Model) -> Iterator[Fault]:
    """Find a baseline whose width is outside the range of the latency file."""
    low, high, width = times[0].width, times[-1].width, max(model.widths)
    if not low <= width <= high:
        message = f"the latencies are of widths {low} to {high}, and the baseline's is {width}"
        yield Fault("CE302", message, ("latency",), help=f"add a line of width {width}")

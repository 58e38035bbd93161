"""The search stage at work."""

from dataclasses import replace

from ceflow import search
from ceflow.compiler import ensemble_with
from ceflow.search import Costs, Optimum
from ceflow.stages.measures import measured
from ceflow.stages.result import Untyped
from ceflow.stages.search import answers
from ceflow.stages.search.documents import document_of
from ceflow.stages.search.latency import latencies, time_networks
from ceflow.stages.search.problem import counts, law_of, problem_of, solve
from ceflow.stages.search.warnings import GAP, warnings
from ceflow.stages.stage import Job, Values, finite

LEAST_ALPHA = 1e-6
"""Where an interval of alpha ends that reaches 0: the optimum has a limit there."""


def run(job: Job) -> Untyped:
    law = law_of(job)
    timed, latency = latencies(job, law) or (None, None)
    costs = timed if timed and job.stage.cost == "latency" else counts(job.plan, job.stage.cost)
    optimum = solve(job.stage, problem_of(job.stage, job.plan, job.model, law, costs, timed))
    if wrong := answers.oversized(optimum):
        raise ValueError(": ".join(wrong))
    values = _values(job, optimum)
    if timed and latency is not None:
        values |= {"latency": latency}
        _time_answers(job, values, timed)
    values["warnings"] = warnings(job, optimum, latency)
    interval = "the interval of the widths"
    measured(values, ["widths_interval"], lambda: _widths_interval(job, optimum), interval)
    documents = {part: document_of(job, part, values[part]["model"]) for part in job.stage.offers}
    return Untyped(**values, documents=documents)


def _values(job: Job, optimum: Optimum) -> Values:
    stage, primal, dual = job.stage, optimum.primal, optimum.dual
    smooth = answers.primal_members(optimum, primal)
    compact = answers.dual_members(optimum, dual)
    return {
        "alpha": getattr(optimum.problem.law, "alpha", None),
        "using": stage.using,
        "cost": stage.cost,
        "space": stage.space,
        "budget": stage.budget and stage.budget.model_dump(exclude_none=True),
        "baseline": answers.baseline(job, optimum),
        "primal": answers.answer(job, optimum, primal, primal.primal_multiplicity, smooth),
        "dual": answers.answer(job, optimum, dual, dual.dual_multiplicity, compact),
        "duality": _duality(optimum),
        "near_optimal": [
            answers.near(job, optimum, near) for near in optimum.near_optimal(stage.tolerance)
        ],
        "compare": [answers.compared(job, optimum, name) for name in stage.compare],
        "curve": [answers.point(candidate) for candidate in optimum.curve],
    }


def _duality(optimum: Optimum) -> Values:
    return {
        "primal_widths": list(optimum.smooth.widths),
        "dual_widths": list(optimum.dual.widths),
        "gap": optimum.gap,
        "holds": optimum.gap <= GAP,
    }


def _widths_interval(job: Job, optimum: Optimum) -> Values:
    """The primal's widths at both ends of the interval of a fitted alpha."""
    if job.stage.using != "law" or job.stage.variance is None:
        return {"widths_interval": None}
    ends = job.results[job.stage.variance]["interval"]
    if ends is None:
        return {"widths_interval": None}
    laws = (search.Exponential(max(alpha, LEAST_ALPHA)) for alpha in ends)
    found = (solve(job.stage, replace(optimum.problem, law=law)) for law in laws)
    return {"widths_interval": [list(each.primal.widths) for each in found]}


def _time_answers(job: Job, values: Values, timed: Costs) -> None:
    """Seconds of every network that is shown: in turn, as a check on what was interpolated; of a
    file of latencies what that says. By them is the efficiency where they are the cost."""
    shown = [*(values[part] for part in ("baseline", *job.stage.offers)), *values["compare"]]
    members = [(tuple(network["widths"]), network["multiplicity"]) for network in shown]
    networks = [job.model, *(ensemble_with(job.model, *of) for of in members[1:])]
    if job.stage.latency is not None:
        for network, model in zip(shown, networks, strict=True):
            network["seconds"] = finite(timed.whole(model))
    else:
        for network, timing in zip(shown, time_networks(job, networks), strict=True):
            network |= {"seconds": timing.seconds, "spread": timing.spread}
    if job.stage.cost == "latency":
        for network in shown:
            taken = network["seconds"]
            emitted = network.get("rounded", network)
            emitted["efficiency"] = taken and values["baseline"]["seconds"] / taken

"""The networks that a search is about, as results."""

import math

from ceflow import search
from ceflow.compiler import ensemble_with, fan_in_sum, member_with, multiplicity_of
from ceflow.search import Candidate, Optimum
from ceflow.search.multiplicities import whole_members
from ceflow.spec import Model, member_of, network_name, read_network, tree_of
from ceflow.spec.base import LARGEST
from ceflow.stages.stage import Job, Values, finite


def primal_members(optimum: Optimum, candidate: Candidate) -> int:
    """Whole members: the network's cost nearest to the baseline's, or within the budget."""
    if optimum.problem.limits:
        return whole_members(candidate.primal_multiplicity)
    return _nearest(optimum, candidate, 1.0)


def dual_members(optimum: Optimum, candidate: Candidate) -> int:
    """Whole members: beside the real number, so that the variance is nearly the baseline's, the
    network's cost nearest to the baseline's over the efficiency."""
    return _nearest(optimum, candidate, candidate.efficiency, candidate.dual_multiplicity)


def _nearest(
    optimum: Optimum, candidate: Candidate, efficiency: float, beside: float | None = None
) -> int:
    baseline, whole = optimum.problem.baseline, optimum.problem.costs.whole
    return search.nearest_multiplicity(
        whole(baseline) / efficiency,
        lambda m: whole(ensemble_with(baseline, candidate.widths, m)),
        beside,
    )


def oversized(optimum: Optimum) -> tuple[str, str] | None:
    """What is wrong, and what to do, where an answer is larger than networks can be written."""
    narrow = "give the [model] smaller widths or fewer members"
    lower = "lower the budget" if optimum.problem.limits else narrow
    primal, dual = optimum.primal, optimum.dual
    for part, widths, members, help in (
        ("primal", primal.widths, primal_members(optimum, primal), lower),
        ("dual", dual.widths, dual_members(optimum, dual), narrow),
    ):
        if max(members, *widths) > LARGEST:
            message = (
                f"the {part} would be {members:,} members of widths up to {max(widths):,}, and a"
                " network has at most 10^12 members and widths up to 10^12"
            )
            return message, help
    return None


def baseline(job: Job, optimum: Optimum) -> Values:
    return {
        **network(job, job.model),
        "fan_in_sum": fan_in_sum(job.model),
        "efficiency": 1.0,
        "variance": optimum.problem.variance,
    }


def network(job: Job, model: Model) -> Values:
    """Widths and counts of a whole network."""
    root = job.plan.expand(model)
    return {
        "widths": list(member_of(model).widths),
        "multiplicity": multiplicity_of(model),
        "parameters": root.parameters,
        "flops": root.flops,
    }


def answer(job: Job, optimum: Optimum, found: Candidate, exact: float, whole: int) -> Values:
    """The network at the best width: on the curve with a real multiplicity, then in whole members.

    `efficiency` and `variance` are of the curve (CE eq. 8 and 11), as the papers' are; `rounded`
    holds those of the network as emitted, whose multiplicity, parameters and FLOPs are given.
    """
    model, cost = ensemble_with(job.model, found.widths, whole), optimum.problem.costs.whole
    return {
        **network(job, model),
        "multiplicity_exact": exact,
        "efficiency": found.share / exact,
        "variance": found.single / exact,
        "rounded": {
            "efficiency": cost(job.model) / cost(model),
            "variance": found.single / whole,
        },
        "model": tree_of(model),
    }


def near(job: Job, optimum: Optimum, candidate: Candidate) -> Values:
    """A candidate of the near-optimal set; counts and variance are those of the primal network."""
    objective, members = optimum.problem.primal_objective, primal_members(optimum, candidate)
    root = job.plan.expand(ensemble_with(job.model, candidate.widths, members))
    return {
        "widths": list(candidate.widths),
        "primal_multiplicity": members,
        "dual_multiplicity": dual_members(optimum, candidate),
        "objective_ratio": objective(candidate) / objective(optimum.primal),
        "parameters": root.parameters,
        "flops": root.flops,
        "variance": candidate.single / members,
    }


def point(candidate: Candidate) -> Values:
    """A candidate on the curve."""
    return {
        "widths": list(candidate.widths),
        "primal_multiplicity": candidate.primal_multiplicity,
        "dual_multiplicity": candidate.dual_multiplicity,
        "variance": finite(candidate.variance),
        "efficiency": candidate.efficiency,
    }


def compared(job: Job, optimum: Optimum, name: str) -> Values:
    """A network that the stage names, with its own cost and variance; null where not known."""
    members, given = read_network(name)
    layers = len(optimum.problem.baseline_widths)
    widths = given if len(given) == layers else given * layers
    model, problem = ensemble_with(job.model, widths, members), optimum.problem
    variance = problem.law(member_with(job.model, widths)) / members
    cost = problem.costs.whole(model)
    return {
        "name": network_name(members, widths),
        **network(job, model),
        "efficiency": problem.costs.whole(job.model) / cost if math.isfinite(cost) else None,
        "variance": variance if math.isfinite(variance) else None,
    }

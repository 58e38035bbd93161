"""From a search stage to the problem that it asks to solve: how members vary, what networks cost,
counted or timed, and the limits of a budget."""

import math
from collections.abc import Iterator, Sequence
from functools import partial

from ceflow import search
from ceflow.compiler import Plan
from ceflow.search import Candidate, Cost, Costs, Law, Limit, LimitName, Optimum, Problem
from ceflow.spec import Model, Search
from ceflow.stages.search.result import Latencies, Timed
from ceflow.stages.stage import Job, precision
from ceflow.stages.variance import VarianceResult

WIDTHS = 9
"""Widths that are measured, from the narrowest to the widest candidate."""
EXAMPLES, WORK = 64, 10e9
"""Examples of a batch, fewer where they would take more than so many FLOPs."""


def fit_of(job: Job) -> VarianceResult:
    """Take what the variance stage found that the search refers to."""
    fit = job.results[job.stage.variance]
    assert isinstance(fit, VarianceResult), "the spec of a search refers to no other stage"
    return fit


def law_of(job: Job) -> Law:
    """Take the variance of a member by the law, in closed form, or as the variance stage measured.

    Raises `ValueError` where what that stage found is nothing to search by.
    """
    stage = job.stage
    if stage.using == "exact":
        return search.Exact()
    if stage.using == "curve":
        points = fit_of(job).points
        return search.Measured([p.fan_in_sum for p in points], [p.moment_ratio for p in points])
    alpha = stage.alpha or fit_of(job).alpha
    if alpha is None:
        raise ValueError(f"{stage.variance!r} has no alpha to search by; see its warnings")
    return search.Exponential(alpha)


def problem_of(
    stage: Search, plan: Plan, model: Model, law: Law, costs: Costs, timed: Costs | None = None
) -> Problem:
    """Pose a problem with the limits of the stage's budget: that of a latency with times only."""
    return Problem(model, law, costs, tuple(limits_of(stage, plan, timed)))


def limits_of(stage: Search, plan: Plan, timed: Costs | None) -> Iterator[Limit]:
    """Take the limits of the stage's budget: that of a latency with times only."""
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


def solve(stage: Search, problem: Problem) -> Optimum:
    """Find the optimum in the stage's space."""
    solver = search.optimise_freely if stage.space == "free" else search.optimise
    return solver(problem)


def counts(plan: Plan, kind: str) -> Costs:
    """Count parameters or FLOPs."""
    return search.counted(plan.expand, "flops" if kind == "flops" else "parameters")


def batch_of(plan: Plan) -> int:
    """Count the examples in the batch that is timed."""
    return max(1, min(EXAMPLES, int(WORK / plan.root.flops)))


def latencies(job: Job, law: Law) -> tuple[Costs, Latencies] | None:
    """Tell the seconds of a member by width, and what they are by; None where none are asked."""
    if not job.stage.timed:
        return None
    return _measure(job, law) if job.stage.latency is None else _read(job)


def times_of(plan: Plan, name: str) -> list[search.Time]:
    """Read the file of latencies that a search names. Raises `SpecError` for a bad file."""
    return search.read_times(plan.path(name, "latency"))


def costs_of(times: Sequence[search.Time]) -> Costs:
    """Tell the seconds of a member by width."""
    return search.timed([t.width for t in times], [t.seconds / t.multiplicity for t in times])


def _read(job: Job) -> tuple[Costs, Latencies]:
    times, layers = times_of(job.plan, job.name), len(job.model.widths)
    points = [
        Timed(widths=[t.width] * layers, multiplicity=t.multiplicity, seconds=t.seconds)
        for t in times
    ]
    return costs_of(times), Latencies(file=job.stage.latency, points=points)


def _measure(job: Job, law: Law) -> tuple[Costs, Latencies]:
    """Time networks of the baseline's FLOPs."""
    networks = _timed_networks(job, law)
    points = [
        Timed(
            widths=[int(width) for width in network.widths],
            multiplicity=network.multiplicity,
            **timing._asdict(),
        )
        for network, timing in zip(networks, time_networks(job, networks), strict=True)
    ]
    times = [search.Time(max(p.widths), p.multiplicity, p.seconds) for p in points]
    measured = Latencies(batch=batch_of(job.plan), precision="float32", points=points)
    return costs_of(times), measured


def _timed_networks(job: Job, law: Law) -> list[Model]:
    """Choose what is timed: the baseline, and candidates at its FLOPs, from 1 member up."""
    costs = counts(job.plan, "flops")
    problem = Problem(job.model, law, costs)
    chosen = dict.fromkeys(each.widths for each in _spaced(search.optimise(problem).curve))
    chosen.pop(problem.baseline_widths, None)
    target, networks = costs.whole(job.model), [job.model]
    for widths in chosen:
        cost_of = lambda m, w=widths: costs.whole(job.model.with_members(w, m))  # noqa: E731
        members = search.nearest_multiplicity(target, cost_of)
        networks.append(job.model.with_members(widths, members))
    return networks


def _spaced(curve: tuple[Candidate, ...]) -> list[Candidate]:
    """Choose candidates evenly spaced in the logarithm of the width, both ends included."""
    low, high = (math.log(max(curve[end].widths)) for end in (0, -1))
    wanted = (math.exp(low + (high - low) * i / (WIDTHS - 1)) for i in range(WIDTHS))
    return [min(curve, key=lambda c, w=width: abs(max(c.widths) - w)) for width in wanted]


def time_networks(job: Job, networks: list[Model]) -> "list[search.Timing]":
    """Time a batch forward through each network, in float32, as networks are served."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    plan = job.plan
    with precision(plan), jax.enable_x64(False):
        batch = jnp.asarray(plan.examples(np.ones((batch_of(plan), plan.inputs), np.float32)))
        key = job.seed.jax()
        makers = [partial(plan.module_of, network, key) for network in networks]
        return search.time_forward(makers, batch)

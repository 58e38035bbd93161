"""The cost of a network as the time it takes, on this machine or where it was measured."""

import math
from collections.abc import Sequence
from functools import partial

from ceflow import search
from ceflow.compiler import Plan, ensemble_with, multiplicity_of
from ceflow.search import Candidate, Costs, Law, Problem
from ceflow.spec import Model, member_of
from ceflow.stages.search.problem import counts
from ceflow.stages.stage import Job, Values, precision

WIDTHS = 9
"""Widths that are measured, from the narrowest to the widest candidate."""
EXAMPLES, WORK = 64, 10e9
"""Examples of a batch, fewer where they would take more than so many FLOPs."""


def batch_of(plan: Plan) -> int:
    """Examples in the batch that is timed."""
    return max(1, min(EXAMPLES, int(WORK / plan.root.flops)))


def latencies(job: Job, law: Law) -> tuple[Costs, Values] | None:
    """Seconds of a member by width, and what was measured; None where no search asks for them."""
    if not job.stage.timed:
        return None
    return measure(job, law) if job.stage.latency is None else read(job)


def times_of(plan: Plan, name: str) -> list[search.Time]:
    """What the file of latencies holds that a search names. Raises `SpecError` for a bad file."""
    return search.read_times(plan.times_path(name))


def costs_of(times: Sequence[search.Time]) -> Costs:
    """Seconds of a member by width."""
    return search.timed([t.width for t in times], [t.seconds / t.multiplicity for t in times])


def read(job: Job) -> tuple[Costs, Values]:
    times = times_of(job.plan, job.name)
    layers = len(member_of(job.model).widths)
    points = [
        {"widths": [t.width] * layers, "multiplicity": t.multiplicity, "seconds": t.seconds}
        for t in times
    ]
    return costs_of(times), {"file": job.stage.latency, "points": points}


def measure(job: Job, law: Law) -> tuple[Costs, Values]:
    """Of networks of the baseline's FLOPs."""
    networks = _networks(job, law)
    timings = time_networks(job, networks)
    times = [
        search.Time(int(max(member_of(network).widths)), multiplicity_of(network), timing.seconds)
        for network, timing in zip(networks, timings, strict=True)
    ]
    points = [
        {"widths": list(member_of(network).widths), "multiplicity": m, **timing._asdict()}
        for network, (_, m, _), timing in zip(networks, times, timings, strict=True)
    ]
    return costs_of(times), {"batch": batch_of(job.plan), "precision": "float32", "points": points}


def _networks(job: Job, law: Law) -> list[Model]:
    """What is timed: candidates at the baseline's FLOPs, from 1 member up; the baseline itself."""
    costs = counts(job.plan, "flops")
    problem = Problem(job.model, law, costs)
    chosen = dict.fromkeys(found.widths for found in _spaced(search.optimise(problem).curve))
    chosen.pop(problem.baseline_widths, None)
    target, networks = costs.whole(job.model), [job.model]
    for widths in chosen:
        cost_of = lambda m, w=widths: costs.whole(ensemble_with(job.model, w, m))  # noqa: E731
        members = search.nearest_multiplicity(target, cost_of)
        networks.append(ensemble_with(job.model, widths, members))
    return networks


def _spaced(curve: tuple[Candidate, ...]) -> list[Candidate]:
    """Candidates evenly spaced in the logarithm of the width, both ends included."""
    low, high = (math.log(max(curve[end].widths)) for end in (0, -1))
    wanted = (math.exp(low + (high - low) * i / (WIDTHS - 1)) for i in range(WIDTHS))
    return [min(curve, key=lambda c, w=width: abs(max(c.widths) - w)) for width in wanted]


def time_networks(job: Job, networks: list[Model]) -> "list[search.Timing]":
    """Seconds of a batch forward through each network, in float32, as networks are served."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    plan = job.plan
    with precision(plan), jax.enable_x64(False):
        batch = jnp.asarray(plan.examples(np.ones((batch_of(plan), plan.inputs), np.float32)))
        key = job.seed.jax()
        makers = [partial(plan.module_of, network, key) for network in networks]
        return search.time_forward(makers, batch)

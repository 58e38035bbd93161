"""The problem that a search stage poses: how members vary, what networks cost (counted or timed),
and the limits of a budget.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

from ceflow import search
from ceflow.compiler import Plan
from ceflow.search import Candidate, Cost, Costs, Law, Limit, LimitName, Optimum, Problem
from ceflow.spec import Model, Search
from ceflow.stages.search.result import Latencies, Timed
from ceflow.stages.stage import Job, precision
from ceflow.stages.variance import VarianceResult

LARGEST_SHARE = 0.9
"""Largest share of the measured seconds of a network that its members can be found to share: times
are noisy, and a member takes some."""
TIMED_WIDTHS = 9
"""Number of widths to time, from the narrowest to the widest candidate."""
BATCH_EXAMPLES, BATCH_FLOPS = 64, 10e9
"""Examples in a timed batch, and its maximum FLOPs, which may reduce the number of examples."""


def fit_of(job: Job) -> VarianceResult:
    """Return the result of the variance stage that the search refers to."""
    fit = job.results[job.stage.variance]
    assert isinstance(fit, VarianceResult), "the spec of a search refers to no other stage"
    return fit


def law_of(job: Job) -> Law:
    """Return the variance of a member by the law, in closed form, or as the variance stage measured
    it.

    Raises `ValueError` if the result of that stage cannot be used.
    """
    stage = job.stage
    if stage.using == "exact":
        return search.Exact()
    if stage.using == "curve":
        points = fit_of(job).points
        return search.Measured([p.fan_in_sum for p in points], [p.moment_ratio for p in points])
    alpha = stage.alpha or fit_of(job).alpha
    if alpha is None:
        raise ValueError(f"{stage.variance!r} found no alpha; see its warnings")
    return search.Exponential(alpha)


def problem_of(
    stage: Search, plan: Plan, model: Model, law: Law, costs: Costs, timed: Costs | None = None
) -> Problem:
    """Build the problem, with the limits of the stage's budget; a limit on latency needs
    `timed`.
    """
    return Problem(
        model, law, costs, tuple(limits_of(stage, plan, timed)), stage.given_widths(model)
    )


def limits_of(stage: Search, plan: Plan, timed: Costs | None) -> Iterator[Limit]:
    """Yield the limits of the stage's budget; a limit on latency needs `timed`."""
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
    """Return the cost function that counts parameters or FLOPs."""
    return search.counted(plan.expand, "flops" if kind == "flops" else "parameters")


def batch_of(plan: Plan) -> int:
    """Return the number of examples in the timed batch."""
    return max(1, min(BATCH_EXAMPLES, int(BATCH_FLOPS / plan.root.flops)))


def latencies(job: Job, law: Law) -> tuple[Costs, Latencies] | None:
    """Return the seconds of a member by width, and the latencies they are based on; None if not
    needed.
    """
    if not job.stage.timed:
        return None
    return _measure(job, law) if job.stage.latency is None else _read(job)


def times_of(plan: Plan, name: str) -> list[search.Time]:
    """Read the latency file of a search. Raises `SpecError` for a bad file."""
    return search.read_times(plan.path(name, "latency"))


def costs_of(times: Sequence[search.Time], shared: float = 0.0) -> Costs:
    """Return the cost function that gives the seconds of a member by width, and of networks with
    the seconds of what members share.
    """
    by_width = {t.width: t for t in sorted(times)}.values()  # the one of the most members
    seconds = [(t.seconds - shared) / t.multiplicity for t in by_width]
    return search.timed([t.width for t in by_width], seconds, shared)


def shared_of(found: float | None, times: Iterable[search.Time]) -> float:
    """Return the seconds that members share, of which a measurement has `found` so many."""
    return min(max(0.0, found or 0.0), LARGEST_SHARE * min(time.seconds for time in times))


def _read(job: Job) -> tuple[Costs, Latencies]:
    times, layers = times_of(job.plan, job.name), len(job.model.widths)
    points = [
        Timed(widths=[t.width] * layers, multiplicity=t.multiplicity, seconds=t.seconds)
        for t in times
    ]
    shared = shared_of(search.shared_seconds(times), times)
    found = Latencies(file=job.stage.latency, shared=shared, points=points)
    return costs_of(times, shared), found


def _measure(job: Job, law: Law) -> tuple[Costs, Latencies]:
    """Time networks with the FLOPs of the baseline; if members share layers, also the baseline with
    twice its members, so as to tell the seconds of those layers.
    """
    networks = _timed_networks(job, law)
    timings = time_networks(job, [*networks, *twice(job)])
    points = [
        Timed(
            widths=[int(width) for width in network.widths],
            multiplicity=network.multiplicity,
            **timing._asdict(),
        )
        for network, timing in zip(networks, timings, strict=False)
    ]
    times = [search.Time(max(p.widths), p.multiplicity, p.seconds) for p in points]
    shared = 0.0
    if len(timings) > len(networks):
        shared = shared_of(2 * timings[0].seconds - timings[-1].seconds, times)
    measured = Latencies(
        batch=batch_of(job.plan), precision="float32", shared=shared, points=points
    )
    return costs_of(times, shared), measured


def twice(job: Job) -> list[Model]:
    """Return the baseline with twice its members, if they share layers."""
    whole, model = counts(job.plan, "flops").whole, job.model
    one, two = (model.with_members(model.widths, m * model.multiplicity) for m in (1, 2))
    return [two] if 2 * whole(one) > whole(two) else []


def _timed_networks(job: Job, law: Law) -> list[Model]:
    """Choose the networks to time: the baseline, and candidates with its FLOPs, from 1
    member up.
    """
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
    wanted = (math.exp(low + (high - low) * i / (TIMED_WIDTHS - 1)) for i in range(TIMED_WIDTHS))
    return [min(curve, key=lambda c, w=width: abs(max(c.widths) - w)) for width in wanted]


def time_networks(job: Job, networks: list[Model]) -> "list[search.Timing]":
    """Time a forward pass of one batch through each network, in float32, as networks are served."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    plan = job.plan
    with precision(plan), jax.enable_x64(False):
        batch = jnp.asarray(plan.examples(np.ones((batch_of(plan), plan.inputs), np.float32)))
        key = job.seed.jax()
        makers = [partial(plan.module_of, network, key) for network in networks]
        return search.time_forward(makers, batch)

"""Running the search stage, and warnings about its optimum."""

from collections.abc import Iterator
from dataclasses import replace

from ceflow import search
from ceflow.blocks import counted, widths_text
from ceflow.search import Candidate, Costs, Optimum
from ceflow.search.whole import near_optimal, whole_dual, whole_primal
from ceflow.spec import network_name
from ceflow.stages.result import Values
from ceflow.stages.search import answers
from ceflow.stages.search.problem import (
    counts,
    fit_of,
    latencies,
    law_of,
    problem_of,
    solve,
    time_networks,
    twice,
)
from ceflow.stages.search.result import Answer, Duality, Latencies, SearchResult, Shown
from ceflow.stages.stage import AT_ZERO, Job, finite

LEAST_ALPHA = 1e-6
"""Lower end of a confidence interval of alpha that would reach 0; the optimum has a limit there."""
NOISY_SPREAD = 0.1
"""Relative spread of a latency above which a warning is given."""
ROUNDING_GAP = 1e-9
"""Duality gap below which it is rounding."""


def run(job: Job) -> SearchResult:
    """Find the optimal ensembles. Raises `ValueError` with a sentence if there are none."""
    law = law_of(job)
    timed, latency = latencies(job, law) or (None, None)
    costs = timed if timed and job.stage.cost == "latency" else counts(job.plan, job.stage.cost)
    optimum = solve(job.stage, problem_of(job.stage, job.plan, job.model, law, costs, timed))
    if wrong := answers.oversized(optimum):
        raise ValueError(": ".join(wrong))
    result = _result(job, optimum, latency)
    if timed is not None and latency is not None:
        result = _with_times(job, result, timed).model_copy(update={"latency": latency})
    documents = {
        answers.file_of(job, part): answers.document_of(job, part, answer.model)
        for part, answer in (("primal", result.primal), ("dual", result.dual))
    }
    return result.model_copy(update={"documents": documents})


def _result(job: Job, optimum: Optimum, latency: Latencies | None) -> SearchResult:
    """Build the result, without timings of the answers."""
    stage, law = job.stage, optimum.problem.law
    widths_interval, doubts = _widths_interval(job, optimum)
    near, left_out = near_optimal(optimum, stage.tolerance)
    given: Values = {"widths": [*optimum.problem.given]} if optimum.problem.given else {}
    return SearchResult(
        alpha=law.alpha if isinstance(law, search.Exponential) else None,
        using=stage.using,
        cost=stage.cost,
        space=stage.space,
        budget=stage.budget and stage.budget.model_dump(exclude_none=True),
        baseline=answers.baseline(job, optimum),
        primal=answers.primal(job, optimum),
        dual=answers.dual(job, optimum),
        duality=Duality(
            primal_widths=list(optimum.smooth.widths),
            dual_widths=list(optimum.dual.widths),
            gap=optimum.gap,
            holds=optimum.gap <= ROUNDING_GAP,
        ),
        near_optimal=[answers.near(job, optimum, each) for each in near],
        left_out=left_out,
        refused=len(optimum.problem.refusals),
        compare=[answers.compared(job, optimum, name) for name in stage.compare],
        curve=[answers.point(candidate) for candidate in optimum.curve],
        widths_interval=widths_interval,
        **given,
        warnings=[*_warnings(job, optimum, latency), *doubts],
    )


def _widths_interval(job: Job, optimum: Optimum) -> tuple[list[list[int]] | None, list[str]]:
    """Find the primal's widths at both ends of the confidence interval of a fitted alpha, if there
    is one. If they are undefined, a sentence says why.
    """
    if job.stage.using != "law" or job.stage.variance is None:
        return None, []
    ends = fit_of(job).interval
    if ends is None:
        return None, []
    try:
        laws = (search.Exponential(max(alpha, LEAST_ALPHA)) for alpha in ends)
        optima = [solve(job.stage, replace(optimum.problem, law=law)) for law in laws]
    except (ValueError, ArithmeticError) as error:
        return None, [f"the interval of the widths is undefined: {error}"]
    return [list(each.primal.widths) for each in optima], []


def _with_times(job: Job, result: SearchResult, timed: Costs) -> SearchResult:
    """Add the seconds of every network shown. If latency is the cost, the efficiency is computed
    from them.
    """
    shown = [network for _, network in result.shown]
    times = _times(job, shown, timed)
    shown = [each.model_copy(update=time) for each, time in zip(shown, times, strict=True)]
    if job.stage.cost == "latency":
        shown = [_by_time(network, shown[0].seconds) for network in shown]
    baseline, primal, dual, *compare = shown
    parts = {"baseline": baseline, "primal": primal, "dual": dual, "compare": compare}
    return result.model_copy(update=parts)


def _times(job: Job, shown: list[Shown], timed: Costs) -> list[Values]:
    """Time the networks in turn, to check the interpolation; with a latency file look them up, None
    outside its range.
    """
    others = [job.model.with_members(tuple(n.widths), n.multiplicity) for n in shown[1:]]
    models = [job.model, *others]
    if job.stage.latency is not None:
        return [{"seconds": finite(timed.whole(model))} for model in models]
    timings = time_networks(job, models)
    return [{"seconds": each.seconds, "spread": each.spread} for each in timings]


def _by_time(network: Shown, baseline: float | None) -> Shown:
    """Replace the efficiency of the whole network by that computed from the seconds."""
    own = network.seconds
    update: Values = {"efficiency": baseline / own if baseline and own else None}
    if isinstance(network, Answer):
        update = {"rounded": network.rounded.model_copy(update=update)}
    return network.model_copy(update=update)


def _warnings(job: Job, optimum: Optimum, latency: Latencies | None) -> Iterator[str]:
    yield from _inherited(job)
    if job.model.members_start_at_zero and not job.stage.variance:
        yield AT_ZERO
    yield from _own_module(job)
    yield from _shared(job, latency)
    if job.stage.widths is not None:  # the rest is about the optimum
        yield from _noise(latency)
        return
    yield from _refused(optimum)
    yield from _nothing_to_gain(job, optimum)
    yield from _side_by_side(job, optimum)
    yield from _rounded(optimum)
    for part, best in (("primal", optimum.primal), ("dual", optimum.dual)):
        yield from _at_an_edge(job, optimum, part, best)
    if optimum.gap > ROUNDING_GAP:
        yield (
            "strong duality does not hold: the variance of the baseline takes less than one member"
            " of the primal's widths, so the dual has others"
        )
    yield from _noise(latency)


def _inherited(job: Job) -> Iterator[str]:
    """Repeat the warnings about alpha, since they also apply to the search."""
    for text in fit_of(job).warnings if job.stage.variance else ():
        yield f"{job.stage.variance}: {text}"


def _shared(job: Job, latency: Latencies | None) -> Iterator[str]:
    """Say where a file of latencies does not tell what members share."""
    if latency is None or latency.file is None:
        return
    widths = [tuple(point.widths) for point in latency.points]
    if len({*widths}) == len(widths) and twice(job):
        yield (
            f"{latency.file} does not tell the seconds of the layers that members share, and they"
            " count as the members': add a line of one of its widths with another multiplicity"
        )


def _own_module(job: Job) -> Iterator[str]:
    """Say what S is where no sum of 1/fan-in is known."""
    if job.model.module_name and job.stage.using == "law":
        yield (
            f"no layers of the module {job.model.module_name} are known: S is taken to be 1/width;"
            ' using = "curve" takes the moments that a variance stage measured in place of the law'
        )


def _refused(optimum: Optimum) -> Iterator[str]:
    """Say which candidates were left out because a layer does not take their widths."""
    if refusals := optimum.problem.refusals:
        several = counted(len(refusals), "candidate")
        yield (
            f"{several} left out: a layer that a plugin adds does not take their widths; let it"
            f" state its step. The first: {next(iter(refusals.values()))}"
        )


def _nothing_to_gain(job: Job, optimum: Optimum) -> Iterator[str]:
    more = optimum.problem.variance / optimum.smooth.smooth - 1
    if optimum.smooth.widths == optimum.problem.baseline_widths:
        yield "the baseline is optimal already: no other widths do better at its cost"
    elif more <= job.stage.tolerance:
        yield f"the baseline is within {more:.1%} of the optimum: there is little to gain"


def _side_by_side(job: Job, optimum: Optimum) -> Iterator[str]:
    """Say if a member of width n is n members of width 1 by its cost and its S.

    With standard weights, the layers of a wide member have other shares of its NTK.
    """
    problem, model = optimum.problem, job.model
    if len(problem.baseline_widths) != 1:
        return
    one, two = (model.member.with_widths(model.ratio_widths(ratio)) for ratio in (1, 2))
    cost = problem.costs.path(two) / problem.costs.path(one)
    if job.stage.using == "curve" or model.is_standard:
        return
    if cost == two.widths[0] / one.widths[0] == one.fan_in_sum / two.fan_in_sum:
        yield (
            "m members of width n cost and vary as one of width m n: what one has over the other is"
            " the curvature of the law, so keep the network"
        )


def _rounded(optimum: Optimum) -> Iterator[str]:
    """Say if an answer is not at the widths of its curve's optimum, as members are whole."""
    answers = {
        "primal": (whole_primal(optimum), optimum.primal, optimum.primal.primal_multiplicity),
        "dual": (whole_dual(optimum), optimum.dual, optimum.dual.dual_multiplicity),
    }
    for part, (found, best, exact) in answers.items():
        if found.candidate.widths != best.widths:
            is_baseline = found.candidate.widths == optimum.problem.baseline_widths
            yield (
                f"the {part} on the curve is {exact:.2f} members of widths"
                f" {widths_text(best.widths)}, and no whole number of them does better than your"
                " network: "
                + ("your network is given" if is_baseline else "the best in whole members is given")
            )


def _at_an_edge(job: Job, optimum: Optimum, part: str, best: Candidate) -> Iterator[str]:
    if best.widths == optimum.problem.baseline_widths:
        return
    measured = job.stage.using == "curve"
    if measured and best in (optimum.curve[0], optimum.curve[-1]):
        yield (
            f"the {part} is at the edge of the widths measured, and may lie beyond it: give the"
            " variance stage more ratios there"
        )
    elif min(best.widths) == 1:
        yield (
            f"the {part} has a layer of width 1, the least there is: laws for wide networks say"
            " little about it"
        )
    elif best == optimum.curve[-1]:
        name = network_name(1, best.widths)
        yield f"the {part} is at the edge of the widths searched: no wider network than {name} fits"


def _noise(latency: Latencies | None) -> Iterator[str]:
    spreads = [point.spread or 0.0 for point in latency.points] if latency else []
    worst = max(spreads, default=0.0)
    if worst > NOISY_SPREAD:
        yield (
            f"latencies vary by up to {worst:.0%} between repeats: objectives that close are equal"
        )

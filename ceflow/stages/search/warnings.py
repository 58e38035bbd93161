"""What may be wrong with an optimum, in sentences."""

from collections.abc import Iterator

from ceflow.search import Candidate, Optimum
from ceflow.spec import network_name
from ceflow.stages.stage import Job, Values

NOISY = 0.1
"""Spread of a latency, relative, from which it is said."""
GAP = 1e-9
"""Below this a duality gap is rounding."""


def warnings(job: Job, optimum: Optimum, latency: Values | None) -> list[str]:
    found = [*_inherited(job), *_nothing_to_gain(job, optimum)]
    for part, best in (("primal", optimum.primal), ("dual", optimum.dual)):
        found += _at_an_edge(job, optimum, part, best)
    if optimum.gap > GAP:
        found.append(
            "strong duality does not hold: the variance of the baseline takes less than one member"
            " of the primal's widths, so the dual has others"
        )
    return found + list(_noise(latency))


def _inherited(job: Job) -> Iterator[str]:
    """Doubts about alpha are doubts about what follows from it."""
    if job.stage.variance:
        for text in job.results[job.stage.variance].get("warnings", ()):
            yield f"{job.stage.variance}: {text}"


def _nothing_to_gain(job: Job, optimum: Optimum) -> Iterator[str]:
    more = optimum.problem.variance / optimum.smooth.smooth - 1
    if optimum.smooth.widths == optimum.problem.baseline_widths:
        yield "the baseline is optimal already: no other widths do better at its cost"
    elif more <= job.stage.tolerance:
        yield f"the baseline is within {more:.1%} of the optimum: there is little to gain"


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


def _noise(latency: Values | None) -> Iterator[str]:
    points = latency["points"] if latency else []
    worst = max((point.get("spread", 0) for point in points), default=0)
    if worst > NOISY:
        yield (
            f"latencies vary by up to {worst:.0%} between repeats: objectives that close are equal"
        )

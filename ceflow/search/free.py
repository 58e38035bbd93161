"""Algorithm 2 over the whole width vector, for networks of few layers."""

import math
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product

from ceflow.search.optimum import Optimum, best_of, curve_along, optimise
from ceflow.search.problem import Candidate, Problem

Widths = tuple[int, ...]
Objective = Callable[[Candidate], float]
Point = Callable[[Widths], Candidate]

NEIGHBOURS = 1000
"""Width vectors in the box that a minimum must be the least of; 3 to the layers at least."""
WALKS = 3
"""Starts, the best ones, from which a box is walked."""


def optimise_freely(problem: Problem) -> Optimum:
    """Minimise over every width by itself (CE eq. 10 and 13, the argmin over n).

    By the law and with counted costs the logarithm of the objective is convex in the logarithms of
    the widths, a geometric program: a descent finds its valley from anywhere. It starts at the best
    ratio and at the baseline, takes steps in one width after another, ever smaller, and ends at
    whole widths that no others in a box around are better than. The curve of the result is the
    ratio line through the primal's widths. Raises what `optimise` raises.

    >>> from ceflow.compiler.models import expand
    >>> from ceflow.search import Exponential, counted
    >>> from ceflow.spec import Mlp
    >>> baseline = Mlp(widths=[500, 500], inputs=748, outputs=10)
    >>> problem = Problem(baseline, Exponential(3.2), counted(expand, "parameters"))
    >>> optimise_freely(problem).primal.widths
    (18, 99)
    """
    by_ratio = optimise(problem)
    point = cache(problem.candidate)
    smooth = _least(problem, point, lambda candidate: candidate.smooth, by_ratio.smooth)
    dual = _least(problem, point, lambda candidate: candidate.compact, by_ratio.dual)
    primal = _affordable(problem, point, by_ratio.primal) if problem.limits else smooth
    curve = curve_along(problem, problem.baseline.with_members(primal.widths, 1))
    return Optimum(problem, curve, best_of(problem, curve), smooth, dual)


def _affordable(problem: Problem, point: Point, start: Candidate) -> Candidate:
    """Find the best within a budget: as if members came in parts, then in whole members.

    Those make the objective a staircase, so each number of them near the best gives a start.
    """
    relaxed = _slide(point, _relaxed, start.widths)
    most = math.floor(point(relaxed).primal_multiplicity)
    starts = {
        _slide(point, lambda candidate, m=members: _of_exactly(candidate, m), relaxed)
        for members in range(max(1, most - 2), most + 3)
    }
    return _settle(point, problem.primal_objective, {relaxed, start.widths, *starts})


def _relaxed(candidate: Candidate) -> float:
    return candidate.variance if candidate.primal_multiplicity >= 1 else math.inf


def _of_exactly(candidate: Candidate, members: int) -> float:
    """Compute the variance of so many members; where they cost too much, worse the more they do."""
    short = members / max(candidate.primal_multiplicity, 1e-9)
    return candidate.single / members if short <= 1 else candidate.single / members * short**4


def _least(problem: Problem, point: Point, objective: Objective, start: Candidate) -> Candidate:
    starts = {_slide(point, objective, w) for w in (start.widths, problem.baseline_widths)}
    return _settle(point, objective, starts)


def _slide(point: Point, objective: Objective, start: Widths) -> Widths:
    """Go down along single widths, by shrinking steps."""
    best = start
    for moves in (_along_axes(2.0**-k) for k in range(1, 8)):
        best = _settled(lambda widths: objective(point(widths)), best, moves)
    return best


def _settle(point: Point, objective: Objective, starts: set[Widths]) -> Candidate:
    """Find the best end of walks through boxes, where a step may change all widths."""
    value: Callable[[Widths], float] = lambda widths: objective(point(widths))  # noqa: E731
    ends = [_settled(value, widths, _in_box) for widths in sorted(starts, key=value)[:WALKS]]
    return point(min(ends, key=value))


def _settled(
    value: Callable[[Widths], float], start: Widths, moves: Callable[[Widths], Iterator[Widths]]
) -> Widths:
    """Walk to the best neighbour, as long as that is better, and give the end."""
    best, least = start, value(start)
    while True:
        neighbour = min(moves(best), key=value)
        if not value(neighbour) < least:
            return best
        best, least = neighbour, value(neighbour)


def _along_axes(fraction: float) -> Callable[[Widths], Iterator[Widths]]:
    """Change one width at a time, by a fraction of itself or by 1."""

    def moves(widths: Widths) -> Iterator[Widths]:
        for layer, width in enumerate(widths):
            step = max(1, round(fraction * width))
            for moved in (max(1, width - step), width + step):
                yield (*widths[:layer], moved, *widths[layer + 1 :])

    return moves


def _in_box(widths: Widths) -> Iterator[Widths]:
    """Change all widths at once, by as much either way as there are `NEIGHBOURS` for."""
    reach = max(1, math.floor((NEIGHBOURS ** (1 / len(widths)) - 1) / 2))
    steps = range(-reach, reach + 1)
    for move in product(steps, repeat=len(widths)):
        yield tuple(max(1, width + step) for width, step in zip(widths, move, strict=True))

"""CE Algorithm 2 with every width free, for networks of few layers."""

import math
from collections.abc import Callable, Iterator
from functools import cache
from itertools import product

from ceflow.search.optimum import Optimum, best_of, curve_along, optimise
from ceflow.search.problem import Candidate, Problem

Widths = tuple[int, ...]
Objective = Callable[[Candidate], float]
Point = Callable[[Widths], Candidate]

BOX_SIZE = 1000
"""Number of width vectors in the box within which a minimum must be the best; at least
3^layers."""
BOX_STARTS = 3
"""Number of best starting points from which boxes are searched."""


def optimise_freely(problem: Problem) -> Optimum:
    """Minimise the objectives over all widths independently (CE eq. 10 and 13, argmin over n).

    With the exponential law and counted costs, the logarithm of the objective is convex in the
    logarithms of the widths (a geometric program), so that coordinate descent finds the minimum
    from any start. It starts at the best proportional widths and at the baseline, changes one width
    after another by shrinking steps, and ends at integer widths that are the best within a box. The
    curve of the result consists of widths in proportion to the primal's. Raises the same errors as
    `optimise`.

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
    """Find the best candidate within a budget: first with real, then with integer multiplicity.

    An integer multiplicity makes the objective a step function, so each integer near the best
    gives a starting point.
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
    """Compute the variance of `members` members, with a penalty if they exceed the budget."""
    short = members / max(candidate.primal_multiplicity, 1e-9)
    return candidate.single / members if short <= 1 else candidate.single / members * short**4


def _least(problem: Problem, point: Point, objective: Objective, start: Candidate) -> Candidate:
    starts = {_slide(point, objective, w) for w in (start.widths, problem.baseline_widths)}
    return _settle(point, objective, starts)


def _slide(point: Point, objective: Objective, start: Widths) -> Widths:
    """Minimise along single widths, by shrinking steps."""
    best = start
    for moves in (_along_axes(2.0**-k) for k in range(1, 8)):
        best = _settled(lambda widths: objective(point(widths)), best, moves)
    return best


def _settle(point: Point, objective: Objective, starts: set[Widths]) -> Candidate:
    """Return the best candidate of several descents, whose steps may change all widths."""
    value: Callable[[Widths], float] = lambda widths: objective(point(widths))  # noqa: E731
    ends = [_settled(value, widths, _in_box) for widths in sorted(starts, key=value)[:BOX_STARTS]]
    return point(min(ends, key=value))


def _settled(
    value: Callable[[Widths], float], start: Widths, moves: Callable[[Widths], Iterator[Widths]]
) -> Widths:
    """Move to the best neighbour as long as it is better; return the last widths."""
    best, least = start, value(start)
    while True:
        neighbour = min(moves(best), key=value)
        if not value(neighbour) < least:
            return best
        best, least = neighbour, value(neighbour)


def _along_axes(fraction: float) -> Callable[[Widths], Iterator[Widths]]:
    """Return moves that change one width at a time, by a fraction of itself or by 1."""

    def moves(widths: Widths) -> Iterator[Widths]:
        for layer, width in enumerate(widths):
            step = max(1, round(fraction * width))
            for moved in (max(1, width - step), width + step):
                yield (*widths[:layer], moved, *widths[layer + 1 :])

    return moves


def _in_box(widths: Widths) -> Iterator[Widths]:
    """Yield the width vectors in a box around `widths`, as wide as `BOX_SIZE` allows."""
    reach = max(1, math.floor((BOX_SIZE ** (1 / len(widths)) - 1) / 2))
    steps = range(-reach, reach + 1)
    for move in product(steps, repeat=len(widths)):
        yield tuple(max(1, width + step) for width, step in zip(widths, move, strict=True))

"""Candidates whose widths a layer does not take: they are left out, and the rest is searched."""

import math
from typing import Any

import pytest

from ceflow.compiler.models import expand
from ceflow.search import (
    Exponential,
    Limit,
    Problem,
    counted,
    optimise,
    optimise_freely,
    smallest_widths,
)
from ceflow.search.whole import whole_primal
from ceflow.spec import Fault, Mlp, SpecError

COSTS = counted(expand, "parameters")


class Fours(Mlp):
    """An mlp that takes widths of multiples of 4 up to 88 alone."""

    def with_widths(self, widths: Any) -> Any:
        if any(width % 4 or width > 88 for width in widths):
            raise SpecError(Fault("CE204", f"not {widths}"))
        return super().with_widths(widths)


def problem(kind: type, budget: float | None = None) -> Problem:
    limits = () if budget is None else (Limit("parameters", COSTS.whole, budget),)
    return Problem(kind(widths=[80, 80], inputs=50, outputs=5), Exponential(3.0), COSTS, limits)


@pytest.mark.parametrize("budget", [None, 7000.0])
def test_the_optimum_is_the_best_of_those_that_are_taken(budget):
    asked = problem(Fours, budget)
    found, every = optimise(asked), optimise(problem(Mlp, budget)).curve
    taken = [each for each in every if each.widths[0] % 4 == 0 and each.widths[0] <= 88]
    assert [each.widths for each in found.curve] == [each.widths for each in taken]
    assert found.primal.widths == min(taken, key=asked.primal_objective).widths
    assert found.smooth.widths == min(taken, key=lambda each: each.smooth).widths
    assert found.dual.widths == min(taken, key=lambda each: each.compact).widths
    assert (10, 10) in asked.refusals
    assert asked.refusals[(10, 10)] == "not (10, 10)"
    assert not {each.widths for each in found.curve} & asked.refusals.keys()


def test_free_widths_end_at_some_that_are_taken():
    asked = problem(Fours)
    found = optimise_freely(asked)
    grid = [asked.candidate((a, b)) for a in range(4, 89, 4) for b in range(4, 89, 4)]
    best = min(grid, key=lambda each: each.smooth)
    assert not found.primal.is_refused
    # a descent over a grid with holes may stop beside the best, and never behind the ratio's
    assert best.smooth <= found.smooth.smooth <= optimise(asked).smooth.smooth
    assert math.isfinite(found.dual.compact)


def test_given_widths_that_are_refused_are_named():
    asked = problem(Fours)
    given = Problem(asked.baseline, asked.law, COSTS, given=(10, 10))
    with pytest.raises(ValueError, match=r"not \(10, 10\)"):
        whole_primal(optimise(given))


def test_the_smallest_network_is_one_that_is_taken():
    assert smallest_widths(problem(Fours).baseline) == (4, 4)
    with pytest.raises(SpecError, match="not"):
        smallest_widths(Fours.model_construct(widths=(2, 2)))

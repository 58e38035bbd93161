"""Algorithm 2 of ResNeXts: the figures of CE section 4.2, from the formulas with an alpha given."""

import math
import time

import pytest
from search_problems import ROUNDING, problem

from ceflow.compiler.models import expand
from ceflow.search import nearest_multiplicity, optimise
from ceflow.search.whole import whole_dual, whole_primal
from ceflow.spec import Block, Resnext

CIFAR = Resnext(blocks=[3, 3, 3], base_width=128, inputs=(3, 32, 32), outputs=10)


def resnet(*blocks: int) -> Resnext:
    return Resnext(
        stem="imagenet", blocks=blocks, base_width=64, inputs=(3, 224, 224), outputs=1000
    )


def whole(optimum, widths: tuple[int, ...]) -> int:
    """Groups at which the whole network costs what the whole baseline does."""
    asked = optimum.problem
    return nearest_multiplicity(
        asked.costs.whole(asked.baseline),
        lambda m: asked.costs.whole(asked.baseline.with_members(widths, m)),
    )


@pytest.mark.parametrize("width", [8, 12, 16, 20, 33])
def test_groups_off_the_curve_are_the_best_of_all_whole_networks(width: int):
    """With all that groups share: 2x9d has fewer parameters than 1x16d, and varies less, though
    only 1.97 groups of 9 have the parameters of one of 16."""
    model = Resnext(blocks=[1, 1], base_width=width, inputs=(3, 32, 32), outputs=2)
    optimum = optimise(problem(model, 3.28))
    costs, law = optimum.problem.costs.whole, optimum.problem.law

    def numbers(n: int, m: int) -> tuple[float, float]:
        network = optimum.problem.baseline.with_members((n, n), m)
        return costs(network), law(network.member) / m

    most, given = numbers(width, 1)
    every = [numbers(n, m) for n in range(1, width + 1) for m in range(1, 2 * width)]
    primal, dual = whole_primal(optimum), whole_dual(optimum)
    if primal.candidate.widths != optimum.primal.widths:
        best = min(variance for cost, variance in every if cost <= most)
        assert numbers(primal.candidate.widths[0], primal.members)[1] <= best * (1 + ROUNDING)
    if dual.candidate.widths != optimum.dual.widths:
        best = min(cost for cost, variance in every if variance <= given * (1 + ROUNDING))
        assert numbers(dual.candidate.widths[0], dual.members)[0] <= best * (1 + ROUNDING)
    if width == 16:
        assert (primal.candidate.widths, primal.members) == ((9, 9), 2)


def test_curve_is_the_formula_of_a_block_at_every_width():
    optimum = optimise(problem(CIFAR, 3.0))
    assert [point.widths for point in optimum.curve] == [(n, n) for n in range(1, 129)]

    def single(n: int) -> float:
        return math.expm1(3.0 * (1 / 256 + 1 / (9 * n) + 1 / n))

    for n, point in enumerate(optimum.curve, 1):
        share = (512 * 128 + 9 * 128**2) / (512 * n + 9 * n**2)
        assert point.variance == pytest.approx(single(n) / share, rel=ROUNDING)
        assert point.dual_multiplicity == pytest.approx(single(n) / single(128), rel=ROUNDING)


@pytest.mark.parametrize(
    ("model", "alpha", "cost", "width", "groups"),
    [
        (CIFAR, 3.0, "parameters", 10, 37),
        (CIFAR, 3.0, "flops", 10, 34),
        (CIFAR, 1.6, "flops", 7, 51),
        (resnet(3, 4, 6, 3), 3.0, "parameters", 10, 12),
        (resnet(3, 4, 23, 3), 3.0, "parameters", 10, 12),
    ],
)
def test_primal_in_whole_groups(model, alpha, cost, width, groups):
    optimum = optimise(problem(model, alpha, cost))
    assert optimum.primal.widths == (width, width)
    assert whole(optimum, optimum.primal.widths) == groups


def test_figures_of_resnext_29():
    optimum = optimise(problem(CIFAR, 3.0))
    best = optimum.primal
    assert (round(best.share, 1), round(best.dual_multiplicity, 1)) == (35.4, 10.7)
    assert round(best.efficiency, 2) == 3.30
    assert expand(CIFAR.with_members(best.widths, 37)).parameters == 13_743_646
    assert expand(CIFAR.with_members(best.widths, 10)).parameters == 4_223_986
    assert {point.widths[0] for point in optimum.near_optimal(0.02)} == set(range(8, 14))


def test_44x8d_follows_from_flops_and_the_alpha_of_the_paper():
    optimum = optimise(problem(CIFAR, 1.6, "flops"))
    (near,) = [point for point in optimum.curve if point.widths == (8, 8)]
    assert whole(optimum, near.widths) == 44
    assert near.variance < 1.003 * optimum.primal.variance


def test_block_is_searched_as_the_resnext_that_it_is_of():
    block = optimise(problem(Block(widths=[128, 128]), 3.0)).primal
    network = optimise(problem(CIFAR, 3.0)).primal
    assert (block.widths, block.share) == (network.widths, network.share)


def test_resnet_101_with_a_budget_takes_less_than_two_seconds():
    started = time.process_time()
    optimise(problem(resnet(3, 4, 23, 3), 3.0, parameters=20e6, flops=8e9))
    assert time.process_time() - started < 2  # 0.3 s on an idle machine

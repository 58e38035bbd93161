"""Answers at widths that the document gives: the points of the curves, in whole members."""

import math
from typing import Any

import pytest

import ceflow
from ceflow.compiler.models import expand
from ceflow.search import Exponential, Problem, counted, optimise
from ceflow.search.whole import whole_dual, whole_primal
from ceflow.spec import Budget, Document, Mlp, Search, SpecError

MODEL = Mlp(widths=[200] * 5, inputs=784, outputs=10)


def found(**keys: Any) -> Document:
    return Document(model=MODEL, stages={"best": Search(alpha=3.4, **keys)})


@pytest.mark.parametrize("width", [5, 20, 80, 200])
def test_both_answers_are_at_the_width_on_the_curves(width, tmp_path):
    result = ceflow.run(found(widths=width), tmp_path / "run").results["best"]
    whole = expand(MODEL).parameters
    member = 784 * width + 4 * width**2 + 10 * width
    single = math.expm1(3.4 * 5 / width)
    assert result.primal.widths == result.dual.widths == [width] * 5
    assert result.primal.multiplicity_exact == pytest.approx(whole / member)
    assert result.primal.multiplicity == max(1, round(whole / member))
    assert result.primal.variance == pytest.approx(single / (whole / member))
    assert result.primal.rounded.variance == pytest.approx(single / result.primal.multiplicity)
    assert result.dual.multiplicity_exact == pytest.approx(single / math.expm1(3.4 * 5 / 200))
    assert result.duality.primal_widths == result.duality.dual_widths != [width] * 5
    assert result.widths == [width] * 5
    assert "warnings" not in result or not result.warnings


def test_the_widths_of_the_optimum_give_the_optimum():
    costs = counted(expand, "parameters")
    best = optimise(Problem(MODEL, Exponential(3.4), costs))
    given = optimise(Problem(MODEL, Exponential(3.4), costs, given=best.primal.widths))
    assert whole_primal(given) == whole_primal(best)
    assert whole_dual(given) == whole_dual(best)


def test_a_width_that_the_budget_cannot_pay_is_said(tmp_path):
    document = found(widths=150, budget=Budget(parameters=20_000))
    with pytest.raises(ceflow.RunError, match="one member alone, 1x150d, costs more"):
        ceflow.run(document, tmp_path / "run")


def test_numbers_of_widths_are_those_of_the_layers():
    (fault,) = found(widths=[3, 4]).faults()
    assert fault.message == "2 widths are given, and the network has 5"
    with pytest.raises(SpecError, match="widths must be a whole number"):
        Search(alpha=3.0, widths=[])

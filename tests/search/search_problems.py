"""Problems to search, of MLPs, blocks and ResNeXts."""

from collections.abc import Sequence
from itertools import pairwise

import ceflow
from ceflow.search import Exponential, Law, Limit, Problem, counted
from ceflow.search.costs import Counted
from ceflow.spec import Document, Ensemble, Mlp, Model

ROUNDING = 1e-12
"""A dozen operations in double precision."""


def mlp(widths: Sequence[int], members: int = 1, inputs: int = 748, outputs: int = 10) -> Model:
    member = Mlp(widths=tuple(widths), inputs=inputs, outputs=outputs)
    return Ensemble(multiplicity=members, member=member) if members > 1 else member


def problem(
    model: Model, law: Law | float, cost: Counted = "parameters", **budget: float
) -> Problem:
    """A search around a model; a law that is a number is its alpha; limits go by their counts."""
    plan = ceflow.compile(Document(model=model))
    counts: dict[str, Counted] = {"parameters": "parameters", "flops": "flops"}
    limits = (
        Limit(counts[name], counted(plan.expand, counts[name]).whole, most)
        for name, most in budget.items()
    )
    found = Exponential(law) if isinstance(law, (int, float)) else law
    return Problem(plan.model, found, counted(plan.expand, cost), tuple(limits))


def parameters(widths: Sequence[float], inputs: int = 748, outputs: int = 10) -> float:
    """Of one MLP without biases, by hand."""
    sizes = (inputs, *widths, outputs)
    return sum(a * b for a, b in pairwise(sizes))

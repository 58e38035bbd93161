"""The forecast of a `variance` stage."""

import math
from collections.abc import Callable

from ceflow import variance
from ceflow.compiler import Plan
from ceflow.costs import Work
from ceflow.spec import Member, Model, Variance
from ceflow.stages.stage import TYPICAL_ALPHA, Forecast
from ceflow.stages.variance.measuring import members_of, method_of

LOADING = 0.3
"""Seconds to load NumPy and SciPy."""

SAMPLING: dict[str, Callable[[Member], float]] = {
    "block": lambda block: 18 / 7e7 * block.widths[0],
    "mlp": lambda mlp: len(mlp.widths) / 4e6,
}
"""Seconds of a draw without weights."""


def forecast(stage: Variance, plan: Plan, model: Model) -> Forecast:
    method, members = method_of(stage, model), [member for _, member in members_of(stage, model)]
    if method == "exact":
        return Forecast(work=Work(seconds=LOADING))
    draws = [_likely_draws(stage, member) for member in members]
    if method == "sample":
        took = [
            count * SAMPLING[member.type](member)
            for count, member in zip(draws, members, strict=True)
        ]
        return Forecast(2e7, work=Work(seconds=LOADING + sum(took)))
    sizes = [plan.expand(member.sized(outputs=1)).parameters for member in members]
    chunk = max(size * variance.chunk_size(size, stage.most_draws) for size in sizes)
    weights = sum(count * size for count, size in zip(draws, sizes, strict=True))
    work = Work(
        flops=6 * weights,
        traffic=4 * plan.itemsize * weights,
        normals=weights,
        compilations=len(members) * (2 + len(members[0].widths) / 2),
        seconds=LOADING,
    )
    return Forecast(3 * plan.itemsize * chunk, key="model.widths", work=work)


def _likely_draws(stage: Variance, member: Member) -> float:
    """Guess how many networks will be drawn.

    With `error` they are as many as a lognormal K asks for, nearly."""
    if stage.error is None:
        return stage.most_draws
    fourth = math.exp(min(4 * TYPICAL_ALPHA * member.fan_in_sum, 50))
    asked = math.log(2 * fourth) - 2 * math.log(stage.error)  # as a logarithm: an error may be tiny
    return min(stage.most_draws, max(1000, math.exp(min(asked, 50))))

"""Forecast of a `variance` stage."""

from ceflow.compiler import Plan
from ceflow.costs import Demand, Work, in_turn
from ceflow.spec import Member, Model, Variance
from ceflow.stages.stage import Forecast
from ceflow.stages.variance.measuring import members_of, method_of
from ceflow.variance import costs

LOADING_SECONDS = 0.3
"""Seconds to load NumPy and SciPy."""


def forecast(stage: Variance, plan: Plan, model: Model) -> Forecast:
    """Count the draws of each member, one after the other."""
    method, members = method_of(stage, model), [member for _, member in members_of(stage, model)]
    if method == "exact":
        return Forecast(work=Work(seconds=LOADING_SECONDS))
    asked = in_turn(_demand(stage, plan, method, member) for member in members)
    work = asked.work._replace(seconds=asked.work.seconds + LOADING_SECONDS)
    return Forecast(asked.memory, key="" if method == "sample" else "model.widths", work=work)


def _demand(stage: Variance, plan: Plan, method: str, member: Member) -> Demand:
    most = stage.most_draws
    draws = most if stage.error is None else min(most, costs.likely_draws(member, stage.error))
    if method == "sample":
        return costs.sampling(member, draws)
    root = plan.expand(member.sized(outputs=1))
    return costs.drawing(root, len(member.widths), draws, most=most, itemsize=plan.itemsize)

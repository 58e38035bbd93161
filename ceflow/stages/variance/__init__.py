"""The `variance` stage: moments of an NTK entry over widths, and alpha (CE Algorithm 1).

`measuring` computes the moments, `fitting` the alpha. `forecast`, `result` and `report` are as for
any stage.
"""

from collections.abc import Iterator

from ceflow.blocks import ReportBlock
from ceflow.compiler import Plan
from ceflow.spec import Model, Variance
from ceflow.stages.stage import AT_ZERO, Forecast, Job, Stage
from ceflow.stages.variance import forecast, report
from ceflow.stages.variance.fitting import fitted
from ceflow.stages.variance.measuring import inputs_of, measure, members_of, method_of
from ceflow.stages.variance.result import Point, VarianceResult

__all__ = ["Point", "VarianceResult", "VarianceStage"]


class VarianceStage(Stage[Variance, VarianceResult]):
    result = VarianceResult

    def cost(self, spec: Variance, plan: Plan, model: Model) -> Forecast:
        return forecast.forecast(spec, plan, model)

    def run(self, job: Job) -> VarianceResult:
        method, members = method_of(job.stage, job.model), members_of(job.stage, job.model)
        points, lost, x = [], [], inputs_of(job)
        for index, (ratio, member) in enumerate(members, 1):
            try:
                points.append(measure(job, method, ratio, member, x))
            except (ValueError, ArithmeticError) as error:
                lost.append(f"left out, as its moments are undefined: {error}")
            job.progress(index, len(members))
        return fitted(job.stage, method, points, lost).warned(*_of_start(job.model))

    def describe(self, result: VarianceResult) -> list[ReportBlock]:
        return report.describe(result)

    def answer(self, result: VarianceResult) -> str:
        return report.answer(result)


def _of_start(model: Model) -> Iterator[str]:
    """Say where the law does not hold at the start of the network."""
    if model.members_start_at_zero:
        yield AT_ZERO

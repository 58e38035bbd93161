"""The `verify` stage: claims of the papers, each with a number and a verdict."""

from ceflow.compiler import Plan
from ceflow.spec import Model, Verify
from ceflow.stages.result import Untyped
from ceflow.stages.stage import Forecast, Job, Stage
from ceflow.stages.summary import Block
from ceflow.stages.verify import forecast, report, run

__all__ = ["VerifyStage"]


class VerifyStage(Stage[Verify, Untyped]):
    result = Untyped

    def cost(self, spec: Verify, plan: Plan, model: Model) -> Forecast:
        return forecast.forecast(spec, plan, model)

    def run(self, job: Job) -> Untyped:
        return run.run(job)

    def describe(self, result: Untyped) -> list[Block]:
        return report.describe(result.table(), result.history)

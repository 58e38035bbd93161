"""The `verify` stage: tests of claims of the papers, each with a number and a verdict.

`run`, `forecast`, `result` and `report` are as for any stage.
"""

from ceflow.blocks import ReportBlock
from ceflow.compiler import Plan
from ceflow.spec import Model, Verify
from ceflow.stages.stage import Forecast, Job, Stage
from ceflow.stages.verify import forecast, report, run
from ceflow.stages.verify.result import ClaimResult, PartResult, VerifyResult

__all__ = ["ClaimResult", "PartResult", "VerifyResult", "VerifyStage"]


class VerifyStage(Stage[Verify, VerifyResult]):
    result = VerifyResult

    def cost(self, spec: Verify, plan: Plan, model: Model) -> Forecast:
        return forecast.forecast(spec, plan, model)

    def run(self, job: Job) -> VerifyResult:
        return run.run(job)

    def describe(self, result: VerifyResult) -> list[ReportBlock]:
        return report.describe(result)

    def answer(self, result: VerifyResult) -> str:
        return report.answer(result)

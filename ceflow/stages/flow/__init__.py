"""The `flow` stage: gradient flow of parameters or of functions, and the NTK while it moves."""

from ceflow.compiler import Plan
from ceflow.spec import Flow, Model
from ceflow.stages.flow import forecast, report, run
from ceflow.stages.result import Untyped
from ceflow.stages.stage import Forecast, Job, Stage
from ceflow.stages.summary import Block

__all__ = ["FlowStage"]


class FlowStage(Stage[Flow, Untyped]):
    result = Untyped

    def cost(self, spec: Flow, plan: Plan, model: Model) -> Forecast:
        return forecast.forecast(spec, plan, model)

    def run(self, job: Job) -> Untyped:
        return run.run(job)

    def describe(self, result: Untyped) -> list[Block]:
        return report.describe(result.table(), result.history)

"""The `flow` stage: gradient flow of parameters or of functions, and the NTK while it moves."""

from ceflow.blocks import Block
from ceflow.compiler import Plan
from ceflow.spec import Flow, Model
from ceflow.stages.flow import forecast, report
from ceflow.stages.flow.result import FlowResult, Steps
from ceflow.stages.stage import Forecast, Job, Stage

__all__ = ["FlowResult", "FlowStage", "Steps"]


class FlowStage(Stage[Flow, FlowResult]):
    result = FlowResult

    def cost(self, spec: Flow, plan: Plan, model: Model) -> Forecast:
        return forecast.forecast(spec, plan, model)

    def run(self, job: Job) -> FlowResult:
        from ceflow.stages.flow.run import run  # which loads JAX, and so do all engines

        return run(job)

    def describe(self, result: FlowResult) -> list[Block]:
        return report.describe(result)

"""The `flow` stage: gradient flow of parameters or of functions, with the changing NTK.

`run` solves the `problem` with one of the engines in `parameters`, `functions` and `features`; each
makes a `recording`. `forecast`, `result` and `report` are as for any stage.
"""

from collections.abc import Iterator

from ceflow.blocks import ReportBlock
from ceflow.compiler import Plan
from ceflow.spec import Flow, Model
from ceflow.stages.flow import forecast, report
from ceflow.stages.flow.result import NTK_CHANGES, FlowResult, Steps
from ceflow.stages.stage import Forecast, Job, Stage

__all__ = ["FlowResult", "FlowStage", "Steps"]


class FlowStage(Stage[Flow, FlowResult]):
    result = FlowResult

    def cost(self, spec: Flow, plan: Plan, model: Model) -> Forecast:
        return forecast.forecast(spec, plan, model)

    def run(self, job: Job) -> FlowResult:
        from ceflow.stages.flow.run import run  # which loads JAX, and so do all engines

        return run(job)

    def doubts(self, number: str, model: Model) -> Iterator[str]:
        for activation in model.kinks if number in NTK_CHANGES else ():
            yield (
                f"theorem 1 assumes an analytic activation, which {activation} is not: the slope"
                " need not be -1"
            )

    def describe(self, result: FlowResult) -> list[ReportBlock]:
        return report.describe(result)

    def answer(self, result: FlowResult) -> str:
        return report.answer(result)

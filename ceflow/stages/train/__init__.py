"""The `train` stage: gradient descent of an infinitely wide network with a bottleneck.

`run` solves the `problem`. `forecast`, `result` and `report` are as for any stage.
"""

from ceflow.blocks import ReportBlock
from ceflow.compiler import Plan
from ceflow.spec import Model, Train
from ceflow.stages.stage import Forecast, Job, Stage
from ceflow.stages.train import forecast, report
from ceflow.stages.train.result import Rates, TrainResult

__all__ = ["Rates", "TrainResult", "TrainStage"]


class TrainStage(Stage[Train, TrainResult]):
    result = TrainResult

    def cost(self, spec: Train, plan: Plan, model: Model) -> Forecast:
        return forecast.forecast(spec, plan, model)

    def run(self, job: Job) -> TrainResult:
        from ceflow.stages.train.run import run  # which loads JAX

        return run(job)

    def describe(self, result: TrainResult) -> list[ReportBlock]:
        return report.describe(result)

    def answer(self, result: TrainResult) -> str:
        return report.answer(result)

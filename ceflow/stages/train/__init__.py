"""The `train` stage: gradient descent of an infinitely wide network with a bottleneck."""

from ceflow.compiler import Plan
from ceflow.spec import Model, Train
from ceflow.stages.result import Untyped
from ceflow.stages.stage import Forecast, Job, Stage
from ceflow.stages.summary import Block
from ceflow.stages.train import forecast, report, run

__all__ = ["TrainStage"]


class TrainStage(Stage[Train, Untyped]):
    result = Untyped

    def cost(self, spec: Train, plan: Plan, model: Model) -> Forecast:
        return forecast.forecast(spec, plan, model)

    def run(self, job: Job) -> Untyped:
        return run.run(job)

    def describe(self, result: Untyped) -> list[Block]:
        return report.describe(result.table(), result.history)

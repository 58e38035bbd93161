"""The `kernel` stage: a kernel matrix over the training inputs, and what follows from it."""

from ceflow.compiler import Plan
from ceflow.spec import Kernel, Model
from ceflow.stages.kernel import forecast, report, run
from ceflow.stages.result import Untyped
from ceflow.stages.stage import Forecast, Job, Stage
from ceflow.stages.summary import Block

__all__ = ["KernelStage"]


class KernelStage(Stage[Kernel, Untyped]):
    result = Untyped

    def cost(self, spec: Kernel, plan: Plan, model: Model) -> Forecast:
        return forecast.forecast(spec, plan, model)

    def run(self, job: Job) -> Untyped:
        return run.run(job)

    def describe(self, result: Untyped) -> list[Block]:
        return report.describe(result.table())

    def overview(self, results: dict[str, Untyped]) -> list[Block]:
        return report.overview({name: result.table() for name, result in results.items()})

"""The `search` stage: the optimally smooth and compact ensembles (CE Algorithm 2)."""

from collections.abc import Iterator

from ceflow.compiler import Plan
from ceflow.spec import Fault, Model, Search
from ceflow.stages.result import Untyped
from ceflow.stages.search import forecast, report, run
from ceflow.stages.stage import Forecast, Job, Stage
from ceflow.stages.summary import Block

__all__ = ["SearchStage"]


class SearchStage(Stage[Search, Untyped]):
    result = Untyped

    def cost(self, spec: Search, plan: Plan, model: Model) -> Forecast:
        return forecast.forecast(spec, plan, model)

    def run(self, job: Job) -> Untyped:
        return run.run(job)

    def describe(self, result: Untyped) -> list[Block]:
        return report.describe(result.table())

    def offers(self, spec: Search, plan: Plan, model: Model) -> dict[str, Model]:
        return forecast.expect(spec, plan, model)

    def faults(self, name: str, spec: Search, plan: Plan, model: Model) -> Iterator[Fault]:
        return forecast.faults(name, spec, plan, model)

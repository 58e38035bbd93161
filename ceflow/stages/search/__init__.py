"""The `search` stage: the optimally smooth and compact ensembles (CE Algorithm 2).

`run` solves the `problem` and describes its `answers`. `forecast`, `result` and `report` are as for
any stage.
"""

from collections.abc import Iterator

from ceflow.blocks import ReportBlock
from ceflow.compiler import Plan
from ceflow.spec import Fault, Model, Search
from ceflow.stages.search import forecast, report, run
from ceflow.stages.search.result import Answer, SearchResult
from ceflow.stages.stage import Forecast, Job, Stage

__all__ = ["Answer", "SearchResult", "SearchStage"]


class SearchStage(Stage[Search, SearchResult]):
    result = SearchResult

    def cost(self, spec: Search, plan: Plan, model: Model) -> Forecast:
        return forecast.forecast(spec, plan, model)

    def run(self, job: Job) -> SearchResult:
        return run.run(job)

    def describe(self, result: SearchResult) -> list[ReportBlock]:
        return report.describe(result)

    def answer(self, result: SearchResult) -> str:
        return report.answer(result)

    def offers(self, spec: Search, plan: Plan, model: Model) -> dict[str, Model]:
        return forecast.expect(spec, plan, model)

    def faults(self, name: str, spec: Search, plan: Plan, model: Model) -> Iterator[Fault]:
        return forecast.faults(name, spec, plan, model)

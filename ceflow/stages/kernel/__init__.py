"""The `kernel` stage: a kernel matrix over the training inputs, and quantities computed from it.

`methods` compute the kernel, some by drawing `networks`, with functions in `compiled`, or read it
from one of `files`. `keeping` writes it to the run, and `provenance` describes its data and its
network there. `measuring` computes distance, spectrum and alignment, `learning` the learning curve,
and `regressing` a regression with its posterior. `forecast`, `result` and `report` are as for any
stage.
"""

from collections.abc import Iterator

from ceflow.blocks import ReportBlock
from ceflow.compiler import Plan
from ceflow.spec import Fault, Kernel, Model
from ceflow.stages.kernel import files, forecast, report
from ceflow.stages.kernel.measuring import measure
from ceflow.stages.kernel.methods import compute
from ceflow.stages.kernel.result import KernelResult, Profile
from ceflow.stages.stage import Forecast, Job, Stage, precision

__all__ = ["KernelResult", "KernelStage", "Profile"]


class KernelStage(Stage[Kernel, KernelResult]):
    result = KernelResult

    def cost(self, spec: Kernel, plan: Plan, model: Model) -> Forecast:
        return forecast.forecast(spec, plan, model)

    def faults(self, name: str, spec: Kernel, plan: Plan, model: Model) -> Iterator[Fault]:
        if spec.from_ is not None:
            yield from files.faults(name, spec, plan)

    def run(self, job: Job) -> KernelResult:
        dataset = job.dataset()
        with precision(job.plan):
            return measure(job, dataset, compute(job, dataset))

    def describe(self, result: KernelResult) -> list[ReportBlock]:
        return report.describe(result)

    def answer(self, result: KernelResult) -> str:
        return report.answer(result)

    def overview(self, results: dict[str, KernelResult]) -> list[ReportBlock]:
        return report.overview(results)

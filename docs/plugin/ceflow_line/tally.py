"""The stage `tally`."""

from ceflow.blocks import Note
from ceflow.costs import Work
from ceflow.stages import Forecast, Result, Stage


class TallyResult(Result):
    """Parameters for each training example."""

    ratio: float
    """Number of parameters divided by the number of training examples."""


class TallyStage(Stage):
    result = TallyResult

    def cost(self, spec, plan, model):
        return Forecast(work=Work(seconds=0.01))

    def run(self, job):
        return TallyResult(ratio=job.plan.expand(job.model).parameters / job.plan.data.train)

    def describe(self, result):
        return [Note(f"{result.ratio:g} parameters for each example")]

"""A stage: what a document says of it, what it costs, does and tells."""

from typing import Literal

from ceflow.spec.stages.stage import StageSpec


class Tally(StageSpec):
    """Counts the parameters for each training example."""

    type: Literal["tally"] = "tally"
    """The number of parameters for each training example."""

    def reads_data(self, model):
        return True

    def implementation(self):
        from ceflow_line.tally import TallyStage

        return TallyStage()

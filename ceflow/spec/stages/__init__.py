"""Stages: what is done with a network, a file each. How each is done is in `ceflow.stages`."""

from typing import Annotated

from pydantic import Field

from ceflow.spec.stages.flow import Flow, Stop
from ceflow.spec.stages.kernel import FEWEST_DRAWS, Kernel
from ceflow.spec.stages.search import Budget, Search
from ceflow.spec.stages.stage import StageSpec
from ceflow.spec.stages.variance import Variance

__all__ = [
    "FEWEST_DRAWS",
    "Budget",
    "Flow",
    "Kernel",
    "Search",
    "Stage",
    "StageSpec",
    "Stop",
    "Variance",
]

Stage = Annotated[Kernel | Variance | Search | Flow, Field(discriminator="type")]

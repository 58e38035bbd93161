"""Stages: what can be computed for a network, one file per kind. `ceflow.stages` runs them.

The kinds are `flow`, `kernel`, `search`, `train`, `variance` and `verify`. `stage` holds what all
have in common, `descent` what flow and train do, and `recipe` what a training of a finite network
has besides.
"""

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from ceflow.spec.plugins import with_plugins
from ceflow.spec.stages.descent import Descent, Stop
from ceflow.spec.stages.flow import Flow
from ceflow.spec.stages.kernel import FEWEST_KERNEL_DRAWS, Kernel
from ceflow.spec.stages.recipe import Drops
from ceflow.spec.stages.search import Budget, Search
from ceflow.spec.stages.stage import StageSpec
from ceflow.spec.stages.train import LearningRates, Train
from ceflow.spec.stages.variance import Variance
from ceflow.spec.stages.verify import Claim, Verify

__all__ = [
    "FEWEST_KERNEL_DRAWS",
    "Budget",
    "Claim",
    "Descent",
    "Drops",
    "Flow",
    "Kernel",
    "LearningRates",
    "Search",
    "Stage",
    "StageSpec",
    "Stop",
    "Train",
    "Variance",
    "Verify",
]

_Known = Kernel | Variance | Search | Flow | Train | Verify
if TYPE_CHECKING:
    Stage = _Known
else:
    Stage = Annotated[with_plugins(_Known, "stage", StageSpec, "type"), Field(discriminator="type")]

"""Kinds of stage, one folder each: what it will need, how it is run, and how its result is shown.

The kinds are `flow`, `kernel`, `search`, `train`, `variance` and `verify`. `stage` is the interface
that each implements, `result` the base of their results. `histories`, `profiles`, `descents` and
`ntk` are shared by the kinds that follow a descent.
"""

from typing import Any

from ceflow import spec as language
from ceflow.spec import Flow, Kernel, Search, Train, Variance, Verify
from ceflow.stages.flow import FlowStage
from ceflow.stages.kernel import KernelStage
from ceflow.stages.result import Record, Result, Values
from ceflow.stages.search import SearchStage
from ceflow.stages.stage import (
    Forecast,
    Job,
    Stage,
    resolve_model,
    result_of,
    with_data,
)
from ceflow.stages.train import TrainStage
from ceflow.stages.variance import VarianceStage
from ceflow.stages.verify import VerifyStage

KINDS: dict[type, Stage[Any, Any]] = {}
"""The implementation of each kind; those of plugins when they are used first."""


def _add(spec: type, kind: Stage[Any, Any]) -> None:
    kind.result.DESCRIBE = staticmethod(kind.describe)
    KINDS[spec] = kind


_known: dict[type, Stage[Any, Any]] = {
    Flow: FlowStage(),
    Kernel: KernelStage(),
    Search: SearchStage(),
    Train: TrainStage(),
    Variance: VarianceStage(),
    Verify: VerifyStage(),
}


for _spec, _kind in _known.items():
    _add(_spec, _kind)


def kind_of(stage: language.Stage) -> Stage[Any, Any]:
    """Return the implementation of a stage's kind."""
    if type(stage) not in KINDS:
        _add(type(stage), stage.implementation())
    return KINDS[type(stage)]


__all__ = [
    "KINDS",
    "Forecast",
    "Job",
    "Record",
    "Result",
    "Stage",
    "Values",
    "kind_of",
    "resolve_model",
    "result_of",
    "with_data",
]

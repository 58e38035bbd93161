"""Kinds of stage, one file each: what it will need, how it is done, what it has to show."""

from ceflow.spec import Flow, Kernel, Search, Stage, Train, Variance, Verify
from ceflow.stages import flow, kernel, search, train, variance, verify
from ceflow.stages.stage import (
    Forecast,
    Job,
    Kind,
    Outcome,
    Values,
    Work,
    outcome_of,
    reads_data,
    resolve_model,
    with_data,
)
from ceflow.stages.summary import (
    Block,
    Cell,
    Curve,
    Drawing,
    Heatmap,
    Note,
    Series,
    Table,
    counted,
    defined,
    number,
)

KINDS: dict[type, Kind] = {
    Flow: flow.KIND,
    Kernel: kernel.KIND,
    Search: search.KIND,
    Train: train.KIND,
    Variance: variance.KIND,
    Verify: verify.KIND,
}


def kind_of(stage: Stage) -> Kind:
    """The meaning registered for a stage."""
    return KINDS[type(stage)]


__all__ = [
    "KINDS",
    "Block",
    "Cell",
    "Curve",
    "Drawing",
    "Forecast",
    "Heatmap",
    "Job",
    "Kind",
    "Note",
    "Outcome",
    "Series",
    "Table",
    "Values",
    "Work",
    "counted",
    "defined",
    "kind_of",
    "number",
    "outcome_of",
    "reads_data",
    "resolve_model",
    "with_data",
]

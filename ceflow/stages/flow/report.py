"""The report of a flow stage."""

from ceflow.blocks import AXES, Note, ReportBlock, Table, number
from ceflow.history import History
from ceflow.stages.flow.result import FlowResult
from ceflow.stages.histories import (
    DESCENT_TITLES,
    LOSS,
    Drawn,
    curves,
    final_losses,
    numbers,
)
from ceflow.stages.profiles import drawn_outputs

TITLES = {
    **DESCENT_TITLES,
    "train_stddev": "standard deviation on training examples",
    "test_stddev": "standard deviation on test examples",
    "distance": "distance of the outputs from those of `start`",
    "drift": "drift of the NTK",
    "drift_relative": "drift of the NTK, relative",
    "alignment": "alignment of the NTK with the targets",
    "eigenvalue_max": "largest eigenvalue of the NTK",
    "eigenvalue_min": "smallest eigenvalue of the NTK",
    "derivative_1": "first time derivative of the NTK at the start",
    "derivative_2": "second",
    "derivative_3": "third",
}
"""Results in the order shown."""


FIGURES = {
    "loss": LOSS,
    "drift": Drawn("median of |K(t) - K(0)|", {"drift": "drift of the NTK"}),
}


def describe(result: FlowResult) -> list[ReportBlock]:
    """Tabulate how the flow ended and its final values; draw curves of its history."""
    history, time = result.history, result.time
    at = time if isinstance(time, str) else format(time, ".4g")
    rows = [("flow", _how(result)), ("ended at mu t", f"{at} ({result.ended})")]
    rows += numbers(result, TITLES)
    drawn = curves(history, AXES["time"], FIGURES) if isinstance(history, History) else []
    drawn += [drawn_outputs(result.profile, "mu t")] if result.profile else []
    warnings = [Note(text, warning=True) for text in result.warnings]
    return [Table(("", ""), tuple(rows)), *drawn, *warnings]


def _how(result: FlowResult) -> str:
    steps, engine = result.steps, result.engine
    if result.solver is None:
        return engine
    if result.width is not None:
        engine = f"{result.sampling} {engine} of width {number(result.width)}"
    return f"{engine}, by {result.solver}: {steps.accepted} steps and {steps.rejected} rejected"


def answer(result: FlowResult) -> str:
    """State the losses at the end."""
    time, losses = result.time, final_losses(result)
    at = time if isinstance(time, str) else format(time, ".4g")
    if result.ended not in ("finished", "stopped"):
        return f"the solver failed at mu t = {at} ({result.ended})"
    return f"the flow ended at mu t = {at} with {losses}" if losses else ""

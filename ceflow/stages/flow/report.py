"""The report of a flow stage."""

from ceflow.blocks import AXES, Cell, ReportBlock, number
from ceflow.stages.flow.result import FlowResult
from ceflow.stages.histories import (
    DESCENT_TITLES,
    DRIFT,
    LOSS,
    descent_blocks,
    final_losses,
    numbers,
)
from ceflow.stages.profiles import moment_text

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


def describe(result: FlowResult) -> list[ReportBlock]:
    """Tabulate how the flow ended and its final values; draw curves of its history."""
    rows: list[tuple[str, Cell]] = [
        ("flow", _how(result)),
        ("ended at mu t", f"{moment_text(result.time)} ({result.ended})"),
        *numbers(result, TITLES),
    ]
    return descent_blocks(result, rows, (AXES["time"], "mu t"), {"loss": LOSS, "drift": DRIFT})


def _how(result: FlowResult) -> str:
    steps, engine = result.steps, result.engine
    if result.solver is None:
        return engine
    if result.width is not None:
        engine = f"{result.sampling} {engine} of width {number(result.width)}"
    return f"{engine}, by {result.solver}: {steps.accepted} steps and {steps.rejected} rejected"


def answer(result: FlowResult) -> str:
    """State the losses at the end."""
    at, losses = moment_text(result.time), final_losses(result)
    if result.ended not in ("finished", "stopped"):
        return f"the solver failed at mu t = {at} ({result.ended})"
    return f"the flow ended at mu t = {at} with {losses}" if losses else ""

"""What a flow stage has to show."""

from ceflow.history import History
from ceflow.stages.courses import LOSS, MEASURED, Drawn, curves, numbers
from ceflow.stages.stage import Values
from ceflow.stages.summary import Block, Note, Table, number

ROWS = {
    **MEASURED,
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


def describe(values: Values, history: "History | str | None") -> list[Block]:
    """A table of how it ended and the final values; curves of its history."""
    rows = [("flow", _how(values)), ("ended at mu t", _ended(values))]
    rows += numbers(values, ROWS)
    drawn = curves(history, "mu t", FIGURES) if isinstance(history, History) else []
    warnings = [Note(text, warning=True) for text in values.get("warnings", ())]
    return [Table(("", ""), tuple(rows)), *drawn, *warnings]


FIGURES = {
    "loss": LOSS,
    "drift": Drawn("median of |K(t) - K(0)|", {"drift": "drift of the NTK"}),
}


def _how(values: Values) -> str:
    if values["solver"] is None:
        return values["engine"]
    steps, engine = values["steps"], values["engine"]
    if "width" in values:
        engine = f"{values['sampling']} {engine} of width {number(values['width'])}"
    return (
        f"{engine}, by {values['solver']}: {steps['accepted']} steps"
        f" and {steps['rejected']} rejected"
    )


def _ended(values: Values) -> str:
    time = values["time"]
    return f"{time if isinstance(time, str) else format(time, '.4g')} ({values['ended']})"

"""What a train stage has to show."""

from ceflow.history import History
from ceflow.stages.courses import LOSS, MEASURED, Drawn, curves, numbers
from ceflow.stages.stage import Values
from ceflow.stages.summary import Block, Note, Table, number

ROWS = {
    **MEASURED,
    "drift": "drift of the NTK",
    "drift_relative": "drift of the NTK, relative",
}
"""Results in the order shown."""

FIGURES = {
    "loss": LOSS,
    "accuracy": Drawn(
        "accuracy", {"train_accuracy": "training", "test_accuracy": "test"}, log=False
    ),
    "drift": Drawn("median of |K(t) - K(0)|", {"drift": "drift of the NTK"}),
}

ENDED = {
    "steps": "all of them",
    "stop": "the training loss is as low as asked for",
    "unstable": "the loss grew without bound",
}


def describe(values: Values, history: "History | str | None") -> list[Block]:
    """A table of how it ended and the final values; curves of its history."""
    rows = [
        ("training", f"{values['engine']}, width {number(values['width'])}, {values['sampling']}"),
        ("learning rate", _rate(values["learning_rate"])),
        ("largest stable at the start", _rate(values["largest_learning_rate"])),
        ("steps", f"{number(values['steps'])} of {number(values['batch'])} examples"),
        ("ended", ENDED[values["ended"]]),
        *numbers(values, ROWS),
    ]
    drawn = curves(history, "step", FIGURES) if isinstance(history, History) else []
    warnings = [Note(text, warning=True) for text in values.get("warnings", ())]
    return [Table(("", ""), tuple(rows)), *drawn, *warnings]


def _rate(rate: float | str | Values) -> str:
    if isinstance(rate, dict):
        return ", ".join(f"{half} {_rate(each)}" for half, each in rate.items())
    return number(rate)

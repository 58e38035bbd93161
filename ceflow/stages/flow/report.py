"""What a flow stage has to show."""

from ceflow.stages.stage import Values
from ceflow.stages.summary import Block, Cell, Curve, Note, Series, Table

ROWS = {
    "train_loss": "training loss",
    "test_loss": "test loss",
    "train_accuracy": "training accuracy",
    "test_accuracy": "test accuracy",
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


def describe(values: Values) -> list[Block]:
    """A table of how it ended and the final values; of the course of it see `course`."""
    rows = [("flow", _how(values)), ("ended at mu t", _ended(values))]
    rows += [(text, _value(key, values)) for key, text in ROWS.items() if key in values]
    warnings = [Note(text, warning=True) for text in values.get("warnings", ())]
    return [Table(("", ""), tuple(rows)), *_curves(values.get("course", [])), *warnings]


CURVES = {
    "loss": ("loss", {"train_loss": "training", "test_loss": "test"}),
    "drift": ("median of |K(t) - K(0)|", {"drift": "drift of the NTK"}),
}


def _curves(course: list[Values]) -> list[Curve]:
    """Losses, and the drift of the NTK, over time."""
    found = []
    for name, (label, keys) in CURVES.items():
        series = [_series(course, key, text) for key, text in keys.items()]
        drawn = tuple(each for each in series if len(each.x) > 2)
        if drawn:
            title = f"{label} by time"
            found.append(Curve(name, title, "mu t", label, drawn, log_y=True))
    return found


def _series(course: list[Values], key: str, label: str) -> Series:
    """The moments at which there is something to draw on a logarithmic axis."""
    points = [
        (line["time"], line[key])
        for line in course
        if isinstance(line["time"], float) and (line.get(key) or 0) > 0
    ]
    x, y = zip(*points, strict=True) if points else ((), ())
    return Series(label, x, y)


def _how(values: Values) -> str:
    if values["solver"] is None:
        return values["engine"]
    steps = values["steps"]
    return (
        f"{values['engine']}, by {values['solver']}: {steps['accepted']} steps"
        f" and {steps['rejected']} rejected"
    )


def _ended(values: Values) -> str:
    time = values["time"]
    return f"{time if isinstance(time, str) else format(time, '.4g')} ({values['ended']})"


def _value(key: str, values: Values) -> Cell:
    value, error = values[key], values.get(f"{key}_stderr")
    if value is None:
        return "not finite"
    return value if error is None else f"{value:.4g} ± {error:.2g}"

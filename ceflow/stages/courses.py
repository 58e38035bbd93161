"""What a stage recorded from moment to moment: its last numbers, and curves."""

from collections.abc import Mapping
from typing import NamedTuple

from ceflow.compiler import Plan
from ceflow.history import History
from ceflow.stages.stage import Values
from ceflow.stages.summary import Cell, Curve, Series

MEASURED = {
    "train_loss": "training loss",
    "test_loss": "test loss",
    "train_accuracy": "training accuracy",
    "test_accuracy": "test accuracy",
}
"""Results that any descent has, in the order shown."""


def numbers(values: Values, texts: Mapping[str, str]) -> list[tuple[str, Cell]]:
    """A row for each of these results that there is, with its standard error."""
    return [(text, _cell(key, values)) for key, text in texts.items() if key in values]


def _cell(key: str, values: Values) -> Cell:
    value, error = values[key], values.get(f"{key}_stderr")
    if value is None:
        return "not finite"
    return value if error is None else f"{value:.4g} ± {error:.2g}"


FEWEST = 3
"""Moments of which there is a curve."""


def lacking(history: History, plan: Plan) -> list[str]:
    """Say of which columns numbers are not finite at some moments, and what may help."""
    lost = history.undefined()
    if not lost:
        return []
    help = "" if plan.document.precision == "float64" else '; try precision = "float64"'
    return [f"not finite or undefined (0/0) at some moments, and left out: {', '.join(lost)}{help}"]


class Drawn(NamedTuple):
    """One figure: the label of its axis, and the keys of its series with their labels."""

    label: str
    keys: Mapping[str, str]
    log: bool = True


LOSS = Drawn("loss", {"train_loss": "training", "test_loss": "test"})


def curves(history: History, x_label: str, figures: Mapping[str, Drawn]) -> list[Curve]:
    """Draw those figures that have something to show, over the history's axis."""
    found = []
    for name, drawn in figures.items():
        several = [series(history, key, text, log=drawn.log) for key, text in drawn.keys.items()]
        enough = tuple(each for each in several if len(each.x) >= FEWEST)
        if enough:
            title = f"{drawn.label} by {history.axis}"
            found.append(Curve(name, title, x_label, drawn.label, enough, log_y=drawn.log))
    return found


def series(history: History, key: str, label: str, *, log: bool) -> Series:
    """Join the moments that are finite; on a logarithmic axis not the start of what is at rest."""
    points = [(x, y) for x, y in history.points(history.axis, key) if not log or x != 0 or y != 0]
    xs, ys = zip(*points, strict=True) if points else ((), ())
    return Series(label, xs, ys)

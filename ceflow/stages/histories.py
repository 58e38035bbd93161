"""What stages that follow a descent have in common: their last numbers, and curves on the way."""

from collections.abc import Mapping
from typing import NamedTuple

from ceflow.blocks import Cell, Curve, Series
from ceflow.compiler import Plan
from ceflow.history import History
from ceflow.stages.result import Array, Result


class DescentResult(Result):
    """What a descent came to; numbers of its last moment, None where one is not finite."""

    engine: str
    """What was followed, by the language's word."""
    train_loss: float | None
    """On all training examples."""
    test_loss: float | None = None
    """On all test examples, where there are some."""
    train_accuracy: float | None = None
    """The share of training examples whose class is right; of classes only."""
    test_accuracy: float | None = None
    """The same of test examples."""
    drift: float | None = None
    """The median over pairs of training examples of |K_ij(t) - K_ij(0)|, K the NTK."""
    drift_relative: float | None = None
    """|K(t) - K(0)|/|K(0)| in Frobenius norm."""
    predictions: Array
    """Outputs on all examples, those of training first: (examples, outputs)."""


MEASURED = {
    "train_loss": "training loss",
    "test_loss": "test loss",
    "train_accuracy": "training accuracy",
    "test_accuracy": "test accuracy",
}
"""Results that any descent has, in the order shown."""


def numbers(result: DescentResult, texts: Mapping[str, str]) -> list[tuple[str, Cell]]:
    """Make a row of each of these results that there is, with its standard error."""
    return [(text, _cell(result, key)) for key, text in texts.items() if key in result]


def _cell(result: DescentResult, key: str) -> Cell:
    value, error = getattr(result, key), getattr(result, f"{key}_stderr", None)
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

"""The common part of stages that follow a descent: their last numbers, and curves on the way."""

from collections.abc import Mapping
from typing import NamedTuple

from ceflow.blocks import Cell, Curve, Series
from ceflow.compiler import Plan
from ceflow.history import History
from ceflow.stages.result import Array, Result


class DescentResult(Result):
    """What a descent came to; numbers of its last moment, None where one is not finite."""

    engine: str
    """As used: what defaults stood for."""
    train_loss: float | None
    """The loss of all training examples: their sum, or with `reduction = "mean"` their mean."""
    test_loss: float | None = None
    """The loss of all test examples, where there are some: their sum, or with `reduction = "mean"`
    their mean."""
    train_accuracy: float | None = None
    """The fraction of training examples whose class is predicted, where the targets are classes."""
    test_accuracy: float | None = None
    """The same of test examples."""
    drift: float | None = None
    """The median over pairs of training examples of |K_ij(t) - K_ij(0)|, K the NTK; with
    `drift`."""
    drift_relative: float | None = None
    """|K(t) - K(0)|/|K(0)| in Frobenius norm; with `drift`, and of a flow without `entries`."""
    predictions: Array
    """Outputs on all examples, those of training first, (examples, outputs); of several replicas
    (replicas, examples, outputs). In `results.json` where they are."""


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
    drawings = []
    for name, drawn in figures.items():
        several = [series(history, key, text, log=drawn.log) for key, text in drawn.keys.items()]
        enough = tuple(each for each in several if len(each.x) >= FEWEST)
        if enough:
            title = f"{drawn.label} by {history.axis}"
            drawings.append(Curve(name, title, x_label, drawn.label, enough, log_y=drawn.log))
    return drawings


def series(history: History, key: str, label: str, *, log: bool) -> Series:
    """Join the moments that are finite; on a logarithmic axis not the start of what is at rest."""
    points = [(x, y) for x, y in history.points(history.axis, key) if not log or x != 0 or y != 0]
    xs, ys = zip(*points, strict=True) if points else ((), ())
    return Series(label, xs, ys)

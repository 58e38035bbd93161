"""What flow and train stages share: the result at the end, and curves of the history."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple

from ceflow.blocks import Cell, Curve, Note, ReportBlock, Series, Table, number
from ceflow.compiler import Plan
from ceflow.history import History
from ceflow.spec import Descent
from ceflow.stages.profiles import OutputProfile, drawn_outputs
from ceflow.stages.result import Array, Result, Values


class DescentResult(Result):
    """The result of a descent: numbers at its last moment, None if not finite."""

    engine: str
    """The engine used, which may be the default."""
    loss: str | None = None
    """Loss of one example, `mse` or `cross-entropy`."""
    reduction: str | None = None
    """How the losses of examples are added: `sum`, `mean` or `mean-all`, as the document says."""
    train_examples: int | None = None
    """Number of training examples, those of `train_loss`."""
    test_examples: int | None = None
    """Number of test examples, those of `test_loss`."""
    train_loss: float | None
    """Loss of all training examples, added as `reduction` says: their sum, their mean, or the mean
    over examples and outputs."""
    test_loss: float | None = None
    """Loss of all test examples, if there are any, added likewise."""
    train_accuracy: float | None = None
    """Fraction of training examples whose class is predicted, if the targets are classes."""
    test_accuracy: float | None = None
    """Fraction of test examples whose class is predicted, if the targets are classes."""
    drift: float | None = None
    """Median over pairs of training examples of |K_ij(t) - K_ij(0)|, with K the NTK; with
    `drift`."""
    drift_relative: float | None = None
    """|K(t) - K(0)|/|K(0)| in Frobenius norm; with `drift`, and in a flow without `entries`."""
    predictions: Array
    """Outputs on all examples, training examples first, shape (examples, outputs), or (replicas,
    examples, outputs) with several replicas: those at the end, or with `predictions` those at each
    moment, with an axis of moments before the others. `results.json` holds the file name,
    `arrays/NAME.predictions.zarr`."""
    profile: OutputProfile | None = None
    """Outputs over the input; with `predictions`, if there is one input, or two that lie on a
    circle, and the targets are no classes."""


DESCENT_TITLES = {
    "train_loss": "training loss",
    "test_loss": "test loss",
    "train_accuracy": "training accuracy",
    "test_accuracy": "test accuracy",
}
"""Titles of the results that every descent has, in the order shown."""


def numbers(result: DescentResult, texts: Mapping[str, str]) -> list[tuple[str, Cell]]:
    """Make a row of each of these results that is present, with its standard error."""
    return [(text, _cell(result, key)) for key, text in texts.items() if key in result]


def _cell(result: DescentResult, key: str) -> Cell:
    value, error = getattr(result, key), getattr(result, f"{key}_stderr", None)
    if value is None:
        return "not finite"
    count = summed(result).get(key)
    if count is None:
        return value if error is None else f"{value:.4g} ± {error:.2g}"
    each = _cell_text(value / count, error and error / count)
    return f"{each} an example; {_cell_text(value, error)} in the sum of {number(count)}"


def _cell_text(value: float, error: float | None) -> str:
    return number(value) if error is None else f"{value:.4g} ± {error:.2g}"


def summed(result: DescentResult) -> dict[str, int]:
    """Return the numbers of examples over which losses are summed, by key; empty if they are means.

    Sums over different numbers of examples cannot be compared: reports divide by them.
    """
    counts = {"train_loss": result.train_examples, "test_loss": result.test_examples}
    return {key: n for key, n in counts.items() if n} if result.reduction == "sum" else {}


def final_losses(result: DescentResult) -> str:
    """Write the losses and accuracies at the end in a sentence's part."""
    counts = summed(result)
    parts = [
        f"a {title} of {number(value / counts.get(key, 1))}{' an example' * (key in counts)}"
        if key.endswith("loss")
        else f"a {title} of {100 * value:.4g} %"
        for key, title in DESCENT_TITLES.items()
        if (value := getattr(result, key)) is not None
    ]
    return " and ".join(filter(None, (", ".join(parts[:-1]), *parts[-1:])))


def descent_blocks(
    result: DescentResult,
    rows: Iterable[tuple[str, Cell]],
    clock: tuple[str, str],
    figures: Mapping[str, "Drawn"],
) -> list[ReportBlock]:
    """Show the rows as a table, curves of the history, the outputs over the input, and the
    warnings. `clock` names the moments: as an axis, and in a label.
    """
    axis, name = clock
    history, counts = result.history, summed(result)
    figures = {**figures, **({"loss": LOSS_OF_ONE} if counts else {})}
    drawn = curves(history, axis, figures, counts) if isinstance(history, History) else []
    drawn += [drawn_outputs(result.profile, name)] if result.profile else []
    warnings = [Note(text, warning=True) for text in result.warnings]
    return [Table(("", ""), tuple(rows)), *drawn, *warnings]


MOST_FOLLOWED = 100
"""Maximum number of training examples in the NTK that a training records: the first ones."""

FEWEST_MOMENTS = 3
"""Minimum number of moments for a curve."""


def of_losses(stage: Descent, plan: Plan) -> Values:
    """Return the fields that say what the losses of a result are of."""
    assert plan.data is not None
    counts = {"train_examples": plan.data.train, "test_examples": plan.data.test}
    return {"loss": stage.loss, "reduction": stage.reduction, **counts}


def lacking(history: History, plan: Plan) -> list[str]:
    """Name the columns with numbers that are not finite, and say what may help."""
    lost = history.undefined()
    if not lost:
        return []
    # Numbers that overflow or vanish take the losses along; 0/0 alone is no matter of precision.
    diverged = plan.document.precision != "float64" and any("loss" in key for key in lost)
    help = '; try precision = "float64"' if diverged else ""
    return [f"not finite or undefined (0/0) at some moments, and left out: {', '.join(lost)}{help}"]


class Drawn(NamedTuple):
    """A figure: the label of its y axis, and the labels of its series by key."""

    label: str
    keys: Mapping[str, str]
    log: bool = True


LOSS = Drawn("loss", {"train_loss": "training", "test_loss": "test"})
LOSS_OF_ONE = Drawn("loss of an example", LOSS.keys)
DRIFT = Drawn("median of |K(t) - K(0)|", {"drift": "drift of the NTK"})


def curves(
    history: History,
    x_label: str,
    figures: Mapping[str, Drawn],
    counts: Mapping[str, int] = MappingProxyType({}),
) -> list[Curve]:
    """Draw the figures that have enough points, over the history's axis. Columns are divided by
    their `counts`.
    """
    drawings = []
    for name, drawn in figures.items():
        several = [
            series(history, key, text, log=drawn.log, count=counts.get(key, 1))
            for key, text in drawn.keys.items()
        ]
        enough = tuple(each for each in several if len(each.x) >= FEWEST_MOMENTS)
        if enough:
            title = f"{drawn.label} by {history.axis}"
            drawings.append(Curve(name, title, x_label, drawn.label, enough, log_y=drawn.log))
    return drawings


def series(history: History, key: str, label: str, *, log: bool, count: int = 1) -> Series:
    """Join the finite points of a series, divided by a count, with their standard errors if all
    have one; on a logarithmic axis leave out a start at 0.
    """
    found = history.points(history.axis, key)
    points = [(x, y / count) for x, y in found if not log or x != 0 or y != 0]
    errors = dict(history.points(history.axis, f"{key}_stderr"))
    xs, ys = zip(*points, strict=True) if points else ((), ())
    known = all(x in errors for x in xs)
    return Series(label, xs, ys, error=tuple(errors[x] / count for x in xs) if known else ())

"""The report of a train stage."""

from collections.abc import Mapping

from ceflow.blocks import Cell, ReportBlock, counted, number
from ceflow.spec import flops_text
from ceflow.stages.histories import (
    DESCENT_TITLES,
    DRIFT,
    LOSS,
    Drawn,
    descent_blocks,
    final_losses,
    numbers,
)
from ceflow.stages.train.result import Rate, Rates, TrainResult

TITLES = {
    **DESCENT_TITLES,
    "train_top5": "training accuracy, top 5",
    "test_top5": "test accuracy, top 5",
    "drift": "drift of the NTK",
    "drift_relative": "drift of the NTK, relative",
    "alignment": "alignment of the NTK with the targets",
    "eigenvalue_max": "largest eigenvalue of the NTK",
    "eigenvalue_min": "smallest eigenvalue of the NTK",
}
"""Results in the order shown."""

FIGURES = {
    "loss": LOSS,
    "accuracy": Drawn(
        "accuracy", {"train_accuracy": "training", "test_accuracy": "test"}, log=False
    ),
    "drift": DRIFT,
}

ENDED = {
    "steps": "all of them",
    "stop": "the training loss is as low as asked for",
    "unstable": "the loss grew without bound",
}


def describe(result: TrainResult) -> list[ReportBlock]:
    """Tabulate how the training ended and its final values; draw curves of its history."""
    largest = _rate(result.largest_learning_rate)
    has_largest = "largest_learning_rate" in result
    recipe = dict(result.recipe or {})
    optimiser = recipe.pop("optimiser", result.optimizer)
    rows: list[tuple[str, Cell]] = [
        ("training", _how(result, optimiser)),
        *([("network", _size(result))] if result.parameters is not None else []),
        *([("loss", recipe.pop("loss"))] if "loss" in recipe else []),
        *([("replicas", _replicas(result))] if (result.replicas or 1) > 1 else []),
        ("learning rate", _rate(result.learning_rate)),
        *([("largest stable at the start", largest + _of_some(result))] if has_largest else []),
        *((name, text) for name, text in recipe.items() if name != "length"),
        ("steps", f"{number(result.steps)} of {number(result.batch)} examples{_length(recipe)}"),
        ("ended", ENDED[result.ended]),
        *numbers(result, TITLES),
    ]
    return descent_blocks(result, rows, ("step", "step"), FIGURES)


def _length(recipe: Mapping[str, str]) -> str:
    return f"; in all {recipe['length']}" if "length" in recipe else ""


def _how(result: TrainResult, optimiser: str | None) -> str:
    if result.width is not None:
        return f"{result.engine}, width {number(result.width)}, {result.sampling}"
    return f"{result.engine}, {optimiser}"


def _size(result: TrainResult) -> str:
    flops = f", {flops_text(result.flops)}" if result.flops is not None else ""
    return counted(result.parameters or 0, "parameter") + flops


def _replicas(result: TrainResult) -> str:
    """Say how many networks the numbers are of, and how many were trained together."""
    groups = f", {number(result.together)} at a time" if result.together else ""
    return f"{number(result.replicas or 1)}{groups}; numbers are means ± standard errors"


def _of_some(result: TrainResult) -> str:
    """Say of how many examples a rate is, if they are not a whole batch."""
    some = result.rate_examples
    return f", from {number(some)} examples" if some and some < result.batch else ""


def _rate(rate: Rate | Rates) -> str:
    if isinstance(rate, Rates):
        return f"encoder {_rate(rate.encoder)}, decoder {_rate(rate.decoder)}"
    return "not finite" if rate is None else number(rate)


def answer(result: TrainResult) -> str:
    """State the losses at the end."""
    losses = final_losses(result)
    end = f"the training ended after {counted(result.steps, 'step')} ({ENDED[result.ended]})"
    return f"{end}, with {losses}" if losses else end

"""The report of a train stage."""

from ceflow.blocks import Cell, ReportBlock, counted, number
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
    "drift": "drift of the NTK",
    "drift_relative": "drift of the NTK, relative",
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
    rows: list[tuple[str, Cell]] = [
        ("training", f"{result.engine}, width {number(result.width)}, {result.sampling}"),
        ("learning rate", _rate(result.learning_rate)),
        ("largest stable at the start", _rate(result.largest_learning_rate)),
        ("steps", f"{number(result.steps)} of {number(result.batch)} examples"),
        ("ended", ENDED[result.ended]),
        *numbers(result, TITLES),
    ]
    return descent_blocks(result, rows, ("step", "step"), FIGURES)


def _rate(rate: Rate | Rates) -> str:
    if isinstance(rate, Rates):
        return f"encoder {_rate(rate.encoder)}, decoder {_rate(rate.decoder)}"
    return "not finite" if rate is None else number(rate)


def answer(result: TrainResult) -> str:
    """State the losses at the end."""
    losses = final_losses(result)
    end = f"the training ended after {counted(result.steps, 'step')} ({ENDED[result.ended]})"
    return f"{end}, with {losses}" if losses else end

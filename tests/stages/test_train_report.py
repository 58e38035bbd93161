"""What the report of a training says: its recipe, and losses that can be compared."""

from typing import Any

import pytest

import ceflow
from ceflow.blocks import Curve, Table
from ceflow.history import History
from ceflow.spec import Digits, Document, Network, Train
from ceflow.stages.train import TrainResult, TrainStage
from ceflow.stages.train.recipe import recipe

RESULTS: dict[str, Any] = {
    "engine": "parameters",
    "optimizer": "adam",
    "batch": 20,
    "learning_rate": 0.5,
    "largest_learning_rate": 1.5,
    "steps": 20,
    "ended": "steps",
    "train_loss": 0.0,
    "predictions": "t.predictions.zarr",
}


def cells(block: Any) -> dict[Any, Any]:
    """Of a table of two columns."""
    assert isinstance(block, Table)
    return {row[0]: row[1] for row in block.rows}


def test_sums_over_different_numbers_of_examples_are_shown_per_example():
    """Equal losses of an example are one curve, whatever their sums are."""
    lines = [
        {"step": i, "train_loss": 30.0 / 2**i, "test_loss": 10.0 / 2**i, "test_loss_stderr": 1.0}
        for i in range(3)
    ]
    counts = {"reduction": "sum", "train_examples": 30, "test_examples": 10}
    given: dict[str, Any] = (
        RESULTS | counts | {"train_loss": 7.5, "test_loss": 2.5, "test_loss_stderr": 1.0}
    )
    result = TrainResult(**given, history=History.of_lines(lines))
    table, loss, *_ = TrainStage().describe(result)
    assert isinstance(loss, Curve)
    assert cells(table)["training loss"] == "0.25 an example; 7.5 in the sum of 30"
    assert cells(table)["test loss"] == "0.25 ± 0.1 an example; 2.5 ± 1 in the sum of 10"
    assert loss.y_label == "loss of an example"
    assert [series.y for series in loss.series] == [(1.0, 0.5, 0.25)] * 2
    assert loss.series[1].error == (0.1,) * 3
    assert "a training loss of 0.25 an example and a test loss of 0.25 an" in TrainStage().answer(
        result
    )
    mean = result.model_copy(update={"reduction": "mean"})
    table, loss, *_ = TrainStage().describe(mean)
    assert isinstance(loss, Curve)
    assert (cells(table)["test loss"], loss.y_label) == ("2.5 ± 1", "loss")


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ({"optimizer": "adamw", "learning_rate": 0.01, "weight_decay": 0.1, "decay": "weights"},
         {"optimiser": "adamw with decay rates 0.9 and 0.999",
          "weight decay": "0.1, of the weights of layers alone"}),
        ({"momentum": 0.9, "nesterov": True, "average": 0.99, "clip": 2.0, "compute": "bfloat16"},
         {"optimiser": "sgd with momentum 0.9 of Nesterov",
          "average": "of the weights, with decay 0.99", "clipping": "gradients to a norm of 2",
          "arithmetic": "bfloat16"}),
        ({"schedule": {"at": [0.5, 0.75], "factor": 0.2}, "warmup": 0.1, "reduction": "mean",
          "loss": "cross-entropy", "label_smoothing": 0.1},
         {"schedule": "times 0.2 after 10 and 15 steps; warm-up of 2 steps",
          "loss": "cross-entropy, mean of a batch, labels smoothed by 0.1"}),
    ],
)  # fmt: skip
def test_the_recipe_says_what_is_set(keys, said):
    """And of what is not set only the loss, the optimiser, the schedule and the length."""
    always = {"optimiser": "sgd", "loss": "mse, sum of a batch", "schedule": "constant"}
    layers = ["relu", {"type": "dropout", "rate": 0.3}, "dense"]
    model = Network.model_validate({"layers": [{"type": "dense", "units": 4}, *layers]})
    data = Digits.model_validate({"train": 100, "test": 10, "augment": ["flip"]})
    stage = Train.model_validate({"steps": 20, "batch": 10} | keys)
    plan = ceflow.compile(Document(model=model, data=data, stages={"t": stage}))
    rest = {"augmentation": "flip", "dropout": "0.3", "length": "2 epochs of 100 examples"}
    assert recipe(stage, plan, plan.model) == always | said | rest


def test_the_report_has_the_recipe_between_the_engine_and_the_end():
    given = {
        "optimiser": "adam with ...",
        "loss": "mse",
        "clipping": "gradients",
        "length": "2 epochs",
    }
    found = TrainResult(**RESULTS, recipe=given, history=History({}))
    table, *_ = TrainStage().describe(found)
    rows = cells(table)
    first = [
        "training",
        "loss",
        "learning rate",
        "largest stable at the start",
        "clipping",
        "steps",
    ]
    assert [*rows][:6] == first
    assert rows["training"] == "parameters, adam with ..."
    assert rows["steps"] == "20 of 20 examples; in all 2 epochs"

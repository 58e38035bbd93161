"""Means over the last moments of a training, and errors in place of accuracies."""

from typing import Any

import numpy as np
import pytest

import ceflow
from ceflow.spec import Collect, Digits, Document, Mlp, Sweep, Train

TRAIN = Train(
    epochs=4, batch=20, points=4, learning_rate=0.05, loss="cross-entropy", reduction="mean",
    replicas=3,
)  # fmt: skip
WIDTHS = [[4], [6]]
PATHS: dict[str, Any] = {"model.widths": WIDTHS}
SEEDS: dict[str, Any] = {"seed": [0, 1]}
SWEEP = Sweep(**PATHS)


def asked(**keys: Any) -> Collect:
    names: dict[str, Any] = {"x": "model.widths", "y": "stages.train.test_error"}
    return Collect(**(names | keys))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> ceflow.Run:
    document = Document(
        precision="float32",
        data=Digits(train=60, test=40),
        model=Mlp(widths=[4]),
        stages={"train": TRAIN},
        sweep=SWEEP,
        collect={
            "end": asked(),
            "last": asked(last=3),
            "long": asked(last=9),
            "loss": asked(y="stages.train.test_loss", last=2),
            "curves": asked(x="stages.train.step"),
        },
    )
    return ceflow.run(document, tmp_path_factory.mktemp("last") / "run")


def test_the_last_moments_of_each_replica_are_averaged(run):
    for point, width in zip(run.collected["last"]["points"], WIDTHS, strict=True):
        result = run.results[f"widths={width[0]}"]["train"]
        curves = run.array(f"widths={width[0]}/train.curves")
        accuracy = curves[result["curve_columns"].index("test_accuracy"), -3:].mean(axis=0)
        assert point["y"] == pytest.approx(1 - accuracy.mean())
        assert point["stderr"] == pytest.approx(accuracy.std(ddof=1) / np.sqrt(3))
        history = run.frame(f"widths={width[0]}/train")
        assert point["y"] == pytest.approx(1 - np.mean(history["test_accuracy"][-3:]))


def test_tables_have_errors_beside_accuracies(run):
    runs, history = run.frame(), run.frame("widths=4/train")
    for table, before in ((runs, "train."), (history, "")):
        for part in ("train", "test"):
            error, accuracy = (f"{before}{part}_{what}" for what in ("error", "accuracy"))
            assert list(table[error]) == [1 - each for each in table[accuracy]]
            assert list(table[f"{error}_stderr"]) == list(table[f"{accuracy}_stderr"])


def test_an_error_is_what_an_accuracy_leaves(run):
    for point, results in zip(run.collected["end"]["points"], run.results.values(), strict=True):
        assert point["y"] == pytest.approx(1 - results["train"]["test_accuracy"])
        assert point["stderr"] == results["train"]["test_accuracy_stderr"]
    curve = run.collected["curves"]["curves"][0]
    history = run.frame("widths=4/train")
    assert curve["y"] == pytest.approx(list(1 - np.asarray(history["test_accuracy"])))


def test_a_loss_is_averaged_too_and_too_few_moments_are_said(run):
    history = run.frame("widths=6/train")
    point = run.collected["loss"]["points"][1]
    assert point["y"] == pytest.approx(np.mean(history["test_loss"][-2:]))
    (said,) = run.collected["long"]["warnings"]
    assert said.startswith("2 of 2 runs have no finite stages.train.test_error at each of the")
    assert [each["y"] for each in run.collected["long"]["points"]] == [None, None]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"y": "stages.train.steps"}, "'train' does not record 'steps' over time"),
        ({"x": "stages.train.step"}, "last makes one number per run, and histories are collected"),
    ],
)
def test_a_mean_over_moments_is_of_what_is_recorded(keys, message):
    document = Document(
        data=Digits(train=60, test=40),
        model=Mlp(widths=[4]),
        stages={"train": TRAIN},
        sweep=SWEEP,
        collect={"c": asked(**({"last": 2} | keys))},
    )
    (fault,) = document.faults()
    assert fault.message == message


def test_an_error_needs_test_examples_and_classes():
    sound = Document(
        data=Digits(train=60, test=0),
        model=Mlp(widths=[4]),
        stages={"train": TRAIN},
        sweep=Sweep(**SEEDS),
        collect={"c": asked(x="seed")},
    )
    (fault,) = sound.faults()
    assert fault.message == "there are no test examples for test_error"

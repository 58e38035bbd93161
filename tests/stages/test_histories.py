"""What is said and shown of a history."""

from typing import get_args

import numpy as np
import pytest
from numpy.testing import assert_array_equal

import ceflow
from ceflow.data import Dataset, Examples
from ceflow.dynamics import SquaredError
from ceflow.history import History
from ceflow.spec import Document, Flow, Mlp, Train
from ceflow.stages import flow, train
from ceflow.stages.descents import losses_and_accuracies
from ceflow.stages.flow import FlowResult
from ceflow.stages.histories import lacking
from ceflow.stages.train import TrainResult


@pytest.mark.parametrize(
    ("precision", "help"), [("float32", '; try precision = "float64"'), ("float64", "")]
)
def test_numbers_left_out_are_said_and_what_may_help(precision, help):
    model = Mlp(widths=[2], inputs=1, outputs=1)
    plan = ceflow.compile(Document(model=model, precision=precision))
    lines = [{"time": 0.0, "train_loss": 1.0}, {"time": 1.0, "train_loss": None}]
    assert lacking(History.of_lines(lines[:1]), plan) == []
    found = lacking(History.of_lines(lines), plan)
    said = "not finite or undefined (0/0) at some moments, and left out: train_loss"
    assert found == [f"{said}{help}"]


@pytest.mark.parametrize(
    ("stage", "result", "rows"),
    [(Flow, FlowResult, flow.report.TITLES), (Train, TrainResult, train.report.TITLES)],
)
def test_what_can_be_recorded_has_a_field_and_a_row(stage, result, rows):
    (words,) = get_args(stage.model_fields["record"].annotation)
    assert set(stage.columns) <= set(get_args(words))
    for column in (column for each in stage.columns.values() for column in each):
        assert column in result.model_fields
        assert column in rows or column.removesuffix("_stderr") in rows


def test_a_column_of_lists_is_read_as_rows():
    lines = [{"time": 0.0, "entries": [1.0, None]}, {"time": 1.0, "entries": [2.0, 3.0]}]
    np.testing.assert_array_equal(History.of_lines(lines)["entries"], [[1.0, np.nan], [2.0, 3.0]])


def test_outputs_that_are_not_finite_have_no_accuracy():
    """One replica of two has grown beyond all numbers; the stage goes on with the other."""
    targets = np.eye(10)[[1, 2, 3]]
    text = '[data]\nsource = "digits"\ntrain = 3\n[model]\ntype = "mlp"\nwidths = [4]\n'
    none = Examples(np.ones((0, 64)), targets[:0])
    dataset = Dataset(Examples(np.ones((3, 64)), targets), none)
    outputs = np.stack([targets, np.full((3, 10), np.nan)])
    plan = ceflow.compile(ceflow.loads(text))
    found = losses_and_accuracies(plan, SquaredError(), dataset, outputs)
    assert_array_equal(found["train_accuracy"], [1, np.nan])
    assert_array_equal(found["train_loss"], [0, np.nan])

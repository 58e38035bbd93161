"""What [collect] reads of a run: results and histories with their errors, and means over the last
moments.
"""

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ceflow.history import History
from ceflow.runs.paired import mean_and_error
from ceflow.spec import ERRORS
from ceflow.stages import Values
from ceflow.store import RunDirectory

if TYPE_CHECKING:
    import numpy as np


def with_errors(results: Mapping[str, Values]) -> dict[str, Values]:
    """Add to the results of stages the errors, 1 - accuracy, as `test_error`.

    >>> with_errors({"train": {"test_accuracy": 0.75}})
    {'train': {'test_accuracy': 0.75, 'test_error': 0.25}}
    """
    return {stage: values | dict(_errors(values)) for stage, values in results.items()}


def _errors(values: Values) -> Values:
    found: Values = {}
    for error, accuracy in ERRORS.items():
        if values.get(accuracy) is not None:
            found[error] = 1 - values[accuracy]
        if values.get(f"{accuracy}_stderr") is not None:
            found[f"{error}_stderr"] = values[f"{accuracy}_stderr"]
    return found


def columns_with_errors(columns: "dict[str, np.ndarray]") -> "dict[str, np.ndarray]":
    """Add the errors to the columns of a table, with their standard errors.

    >>> import numpy as np
    >>> columns_with_errors({"test_accuracy": np.array([0.25])})
    {'test_accuracy': array([0.25]), 'test_error': array([0.75])}
    """
    found = dict(columns)
    for error, accuracy in ERRORS.items():
        if accuracy in columns:
            found[error] = 1 - columns[accuracy]
        if f"{accuracy}_stderr" in columns:
            found[f"{error}_stderr"] = columns[f"{accuracy}_stderr"]
    return found


def history_with_errors(history: History) -> History:
    """Add the errors to the columns of a history.

    >>> history_with_errors(History({"step": (0,), "test_accuracy": (0.25,)}))["test_error"]
    array([0.75])
    """
    return History.of_lines([line | _errors(line) for line in history.lines()])


def last_mean(
    directory: RunDirectory, stage: str, key: str, last: int, results: Values
) -> tuple[float, float | None] | None:
    """Return the mean of a quantity over the last moments of a stage, and its standard error if
    there are several replicas; None if it was not recorded, or at fewer moments.

    The error is that of the means of the replicas, since the moments of one are not independent.
    """
    history = history_with_errors(directory.read_metrics(stage))
    if key not in history or len(history) < last:
        return None
    values = [float(each) for each in history[key][-last:]]
    if not all(map(math.isfinite, values)):
        return None
    name = ERRORS.get(key, key)
    columns = results.get("curve_columns") or ()
    if name not in columns or not directory.has_array(f"{stage}.curves"):
        return math.fsum(values) / last, None
    found = directory.read_array(f"{stage}.curves")[columns.index(name), -last:].mean(axis=0)
    mean, stderr = mean_and_error([float(each) for each in found])
    return (1 - mean if key in ERRORS else mean), stderr

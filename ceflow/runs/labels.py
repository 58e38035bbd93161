"""Labels, titles and sentences that the reports of [collect] tables share."""

import math
from collections.abc import Sequence
from typing import Any

from ceflow.blocks import number


def label(value: Any) -> str:
    """Write a swept value in few characters; a list of equal values is written as one.

    >>> label([16, 16]), label([16, 8]), label("relu")
    ('16', '16 8', 'relu')
    """
    if not isinstance(value, list | tuple):
        return str(value)
    one = len(set(map(str, value))) == 1
    return str(value[0]) if one else " ".join(map(str, value))


def short(path: str) -> str:
    """Return the path of a result below `stages`; another path as it is.

    >>> short("stages.flow.train_loss"), short("model.size")
    ('flow.train_loss', 'model.size')
    """
    return path.removeprefix("stages.")


def which(key: str | None, value: str) -> str:
    """Say of which value of `by` a sentence is; nothing without one.

    >>> which("model.size", "8"), which("", "")
    ('model.size = 8: ', '')
    """
    return f"{key} = {value}: " if value else ""


def averaged(over: str) -> str:
    """Say in a title that bars and bands are those of means; nothing if runs are not averaged."""
    return f", mean over {short(over)} ± s.e." if over else ""


def extremes(y: str, values: Sequence[tuple[float, str]]) -> str:
    """Say where the least and the greatest of labelled values are; '' if there are not two.

    >>> extremes("loss", [(0.5, "a"), (0.25, "b"), (1.0, "c")])
    'loss is least at b (0.25) and greatest at c (1)'
    """
    known = [each for each in values if math.isfinite(each[0])]
    if len({value for value, _ in known}) < 2:
        return ""
    (low, at_low), (high, at_high) = min(known), max(known)
    return f"{y} is least at {at_low} ({number(low)}) and greatest at {at_high} ({number(high)})"


def is_log(scale: str, automatic: bool) -> bool:
    """Tell whether an axis is logarithmic: as asked, or for `auto` as is best for its numbers."""
    return automatic if scale == "auto" else scale == "log"

"""Labels, titles and sentences that the reports of [collect] tables share."""

import math
from collections.abc import Sequence

from ceflow.blocks import number

SMALLEST_ERROR = 1e-5
"""Smallest standard error whose number is written with decimals, not with a power of ten."""


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


def with_error(value: float | str, error: float | None) -> str:
    """Write a number with its standard error, if there is one: to the second digit of the error, or
    to the first if the number has four digits by then.

    >>> with_error(0.113514, 0.00213), with_error(1521.28, 1.4), with_error(3, None)
    ('0.1135 ± 0.0021', '1,521 ± 1', '3')
    """
    if error is None:
        return number(value)
    if not isinstance(value, str) and math.isfinite(value) and SMALLEST_ERROR <= error < math.inf:
        second = 1 - math.floor(math.log10(error))
        fourth = 3 - math.floor(math.log10(abs(value))) if value else second
        decimals = max(0, min(second, max(fourth, second - 1)))
        return f"{value:,.{decimals}f} ± {error:,.{decimals}f}"
    return f"{number(value)} ± {error:.2g}"


def extremes(y: str, values: Sequence[tuple[float, str, float | None]]) -> str:
    """Say where the least and the greatest of labelled values are, with their standard errors; ''
    if there are not two.

    >>> extremes("loss", [(0.5, "a", None), (0.25, "b", 0.01), (1.0, "c", None)])
    'loss is least at b (0.250 ± 0.010) and greatest at c (1)'
    """
    known = [each for each in values if math.isfinite(each[0])]
    if len({value for value, _, _ in known}) < 2:
        return ""
    low, high = (choose(known, key=lambda each: each[:2]) for choose in (min, max))
    ends = [f"{label} ({with_error(value, error)})" for value, label, error in (low, high)]
    return f"{y} is least at {ends[0]} and greatest at {ends[1]}"


def is_log(scale: str, automatic: bool) -> bool:
    """Tell whether an axis is logarithmic: as asked, or for `auto` as is best for its numbers."""
    return automatic if scale == "auto" else scale == "log"

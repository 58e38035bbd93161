"""Preparation for drawing: points that can be placed on the axes, and texts free of control
characters.
"""

import math
from collections.abc import Callable
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from ceflow.blocks.content import Curve, Drawing, Series
from ceflow.spec import printable

LARGEST_VALUE = 1e250
"""Largest absolute value on an axis, and the inverse of the smallest on a logarithmic one: the axis
extends beyond its points by a twentieth of its length in powers of ten, which must not overflow."""

T = TypeVar("T")


def shown(content: T, escape: Callable[[str], str] = printable) -> T:
    r"""Escape every text in the content.

    >>> from ceflow.blocks import Note
    >>> shown(("a", 1.0, Note("\x1b[2J")))
    ('a', 1.0, Note(text='\\x1b[2J', warning=False))
    """
    escaped: Any = content
    if isinstance(content, str):
        escaped = escape(content)
    elif isinstance(content, tuple):
        escaped = tuple(shown(each, escape) for each in content)
    elif is_dataclass(content) and not isinstance(content, type):
        values = {each.name: shown(getattr(content, each.name), escape) for each in fields(content)}
        escaped = replace(content, **values)
    return escaped


def shortened(text: str, most: int) -> str:
    """Leave out the middle of a text of more than `most` characters, as names of runs differ at
    both ends.

    >>> shortened("widths=16-16,activation=relu,seed=12", 20)
    'widths=16-…u,seed=12'
    """
    ends = divmod(most, 2)
    return text if len(text) <= most else f"{text[: ends[0]]}…{text[len(text) - sum(ends) + 1 :]}"


def drawable(drawing: Drawing) -> tuple[Drawing, str]:
    """Keep the points of a drawing that can be placed on its axes, and describe the others.

    The description is empty if there are none.
    """
    log_x, log_y = (drawing.log_x, drawing.log_y) if isinstance(drawing, Curve) else (False, False)
    kept = tuple(_kept(series, log_x, log_y) for series in drawing.series)
    left = sum(len(old.x) - len(new.x) for old, new in zip(drawing.series, kept, strict=True))
    if not isinstance(drawing, Curve):
        kept = tuple(series for series in kept if len(set(series.x)) > 1)
    return replace(drawing, series=kept), _said(left, log_x or log_y)


def error_ends(series: Series, *, log: bool) -> list[tuple[float, float]]:
    """Return the ends of the bar of one standard error at each point; without errors, the point.

    On a logarithmic axis a side that would reach 0 ends at a tenth of its point.

    >>> error_ends(Series("", (0.0, 1.0), (2.0, 3.0), error=(0.5, 3.0)), log=True)
    [(1.5, 2.5), (0.3, 6.0)]
    """
    errors = series.error or (0.0,) * len(series.y)
    return [
        (max(y - error, y / 10) if log else y - error, y + error)
        for y, error in zip(series.y, errors, strict=True)
    ]


def _kept(series: Series, log_x: bool, log_y: bool) -> Series:
    places = zip(series.x, series.y, strict=True)
    pairs = ((_placed(x, log_x), _placed(y, log_y)) for x, y in places)
    errors = [
        error if math.isfinite(error) and error <= LARGEST_VALUE else 0.0
        for error in series.error or (0.0,) * len(series.x)
    ]
    known = [
        (x, y, error)
        for (x, y), error in zip(pairs, errors, strict=True)
        if x is not None and y is not None
    ]
    x, y, error = zip(*known, strict=True) if known else ((), (), ())
    return replace(series, x=x, y=y, error=error if series.error else ())


def _placed(value: float, log: bool) -> float | None:
    """Return a number as a position on an axis; None if it has none."""
    if not math.isfinite(value) or abs(value) > LARGEST_VALUE:
        return None
    if abs(value) < 1 / LARGEST_VALUE:
        return None if log else 0.0
    return None if log and value < 0 else value


def _said(left: int, log: bool) -> str:
    why = "0, below 0 or" if log else "not finite or"
    points = "1 point is" if left == 1 else f"{left} points are"
    return f"{points} {why} too large to be drawn" if left else ""

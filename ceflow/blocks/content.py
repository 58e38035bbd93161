"""The content that a stage has to show: the report decides how a terminal or a figure draws it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Cell = str | int | float


UNDEFINED = "undefined"
"""In the place of a number that there is none of; a warning says why."""


@dataclass(frozen=True)
class Note:
    """A sentence; a warning stands out."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Table:
    """Rows under column heads; numbers are shown to four digits."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Series:
    """Points of a curve: joined (`line`), or single (`points`)."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    style: Literal["line", "points"] = "line"


@dataclass(frozen=True)
class Curve:
    """Series over common axes; `name` is the figure's file."""

    name: str
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False
    legend: str = ""
    """What the labels of the series are values of, where they are in order."""


@dataclass(frozen=True)
class Heatmap:
    """A row for each series, x to the right and y as a colour, logarithmic where all are above 0;
    `name` is the figure's file."""

    name: str
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    legend: str
    """What the labels of the rows are values of."""

    @property
    def log(self) -> bool:
        """True where the colours are logarithmic."""
        return all(y > 0 for series in self.series for y in series.y)


Drawing = Curve | Heatmap
ReportBlock = Note | Table | Drawing


def widths_text(widths: Sequence[float]) -> str:
    """Write hidden widths in few characters.

    >>> widths_text([19, 19, 19]), widths_text([20, 10]), widths_text([7])
    ('3 x 19', '20 10', '7')
    """
    if len(widths) > 1 and len(set(widths)) == 1:
        return f"{len(widths)} x {widths[0]}"
    return " ".join(map(str, widths))


def defined(value: Cell | None) -> Cell:
    """Write a number as it is shown, or that there is none."""
    return UNDEFINED if value is None else value


def counted(count: float, what: str) -> str:
    """Write so many of something, in one word's singular.

    >>> counted(1, "output"), counted(1200, "output")
    ('1 output', '1,200 outputs')
    """
    return f"{number(count)} {what}{'' if count == 1 else 's'}"


def number(value: float | int | str) -> str:
    """Write a cell of a table: whole numbers with separators, others to four digits.

    >>> number(1379000), number(0.034738), number("a"), number(1e-7), number(float("inf"))
    ('1,379,000', '0.03474', 'a', '1e-07', 'inf')
    """
    if isinstance(value, str):
        return value
    if math.isnan(value):
        return "not finite"
    if math.isfinite(value) and value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    return f"{value:.4g}"

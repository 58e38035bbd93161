"""The content of a report: what a stage shows. The report decides how to draw it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Cell = str | int | float


UNDEFINED = "undefined"
"""Text in place of an undefined number; a warning says why it is undefined."""


@dataclass(frozen=True)
class Note:
    """A sentence; warnings are highlighted."""

    text: str
    warning: bool = False


@dataclass(frozen=True)
class Table:
    """Rows below column heads; numbers are shown with four digits."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]


@dataclass(frozen=True)
class Series:
    """Points of a curve: a `line` through them, separate `points`, or points `joined` by a line."""

    label: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    style: Literal["line", "points", "joined"] = "line"
    error: tuple[float, ...] = ()
    """Standard error of each y: a bar at a point, a band along a line; empty if there is none."""
    colour: int | None = None
    """Index of the colour, which series may share; None for the index of the series."""
    dash: int = 0
    """Index of the pattern of the line, if it is more than that of the colour; 0 is a solid one."""


@dataclass(frozen=True)
class Curve:
    """Series over common axes; `name` is the name of the figure's file."""

    name: str
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    log_x: bool = False
    log_y: bool = False
    legend: str = ""
    """Name of the quantity whose values label the series, if these are in order."""

    @property
    def colours(self) -> list[int]:
        """Index of the colour of each series."""
        every = enumerate(self.series)
        return [at if series.colour is None else series.colour for at, series in every]


@dataclass(frozen=True)
class Heatmap:
    """One row per series, x to the right and y as the colour, on a logarithmic scale if all y are
    above 0; `name` is the name of the figure's file.
    """

    name: str
    title: str
    x_label: str
    y_label: str
    series: tuple[Series, ...]
    legend: str
    """Name of the quantity whose values label the rows."""

    @property
    def log(self) -> bool:
        """True if the colours are on a logarithmic scale."""
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
    """Return a number to show, or the text for an undefined one."""
    return UNDEFINED if value is None else value


def counted(count: float, what: str) -> str:
    """Write a count with its noun, given in the singular.

    >>> counted(1, "output"), counted(1200, "output")
    ('1 output', '1,200 outputs')
    """
    return f"{number(count)} {what}{'' if count == 1 else 's'}"


def number(value: float | int | str) -> str:
    """Write a table cell: whole numbers with separators, others with four digits.

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

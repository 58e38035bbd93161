"""Ticks of axes, as many as have room for their labels. Loads Matplotlib."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axis import Axis, XAxis
from matplotlib.font_manager import findfont, get_font
from matplotlib.ticker import Formatter, LogLocator, MaxNLocator, NullFormatter

from ceflow.blocks.axes import power_of_ten
from ceflow.blocks.style import STYLE

MOST_TICKS = 7
"""Maximum number of labelled ticks on an axis."""

ENOUGH_TICKS = 3
"""Number of ticks from which on a logarithmic axis needs no others."""

SIZE = STYLE["xtick.labelsize"]
"""Size of the letters of labels, in points."""

X_GAP, LINE = 0.6 * SIZE, 1.5 * SIZE
"""Least distances in points: between labels beside each other, and between lines."""

DIGITS = ((1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))
"""Digits that are labelled in each decade of a logarithmic axis, from many to few."""

STRIDES = (2, 3, 5, 10, 20, 50, 100, 200)
"""Numbers of decades between labels of a long logarithmic axis."""


def place_ticks(axis: Axis) -> None:
    """Let an axis, linear or logarithmic, choose ticks whose labels do not overlap.

    Labels are texts: Matplotlib's own labels of a logarithmic axis are mathematics, which it parses
    in 8 ms each, half the time of a figure.
    """
    if axis.get_scale() != "log":
        axis.set_major_locator(LinearTicks())
        return
    axis.set_major_locator(PowerTicks())
    axis.set_major_formatter(Powers())
    axis.set_minor_formatter(NullFormatter())


class Chosen(ABC):
    """Ticks that are chosen anew only if the axis has changed, as Matplotlib asks ten times."""

    axis: Any
    last: tuple[Any, Any] = (None, None)

    @abstractmethod
    def choose(self, low: float, high: float) -> Any:
        """Choose ticks for an axis with these ends."""

    def tick_values(self, vmin: float, vmax: float) -> Any:
        box = self.axis.axes.bbox
        ends = (vmin, vmax, box.width, box.height)
        if self.last[0] != ends:
            self.last = (ends, self.choose(vmin, vmax))
        return self.last[1]


class LinearTicks(Chosen, MaxNLocator):
    """The most evenly spaced ticks whose labels have room."""

    def __init__(self) -> None:
        super().__init__(steps=[1, 2, 2.5, 5, 10])

    def choose(self, low: float, high: float) -> Any:
        found: Any = []
        for count in range(MOST_TICKS, 0, -1):
            self.set_params(nbins=count)
            found = MaxNLocator.tick_values(self, low, high)
            if have_room(self.axis, within(found, low, high)):
                break
        return found


class PowerTicks(Chosen, LogLocator):
    """The most ticks at round numbers of a logarithmic axis whose labels have room."""

    def choose(self, low: float, high: float) -> Any:
        if not min(low, high) > 0:
            return LogLocator.tick_values(self, low, high)
        best: list[float] = []
        for ticks in candidates(*sorted((low, high))):
            if len(ticks) > len(best) and have_room(self.axis, ticks):
                best = ticks
            if len(best) >= ENOUGH_TICKS:
                break
        return np.array(best)


class Powers(Formatter):
    """Labels of a logarithmic axis, with the digits that tell its ticks apart."""

    digits = 1

    def set_locs(self, locs: Any) -> None:
        apart = min(np.diff(np.sort(locs)), default=0) or max(locs, default=0)
        self.digits = next(
            (
                count
                for count in range(1, 17)
                if all(abs(float(f"{x:.{count}g}") - x) <= 1e-3 * apart for x in locs)
            ),
            17,
        )

    def __call__(self, x: float, pos: Any = None) -> str:
        return power_of_ten(x, self.digits)


def candidates(low: float, high: float) -> Iterator[list[float]]:
    """Yield choices of ticks for a logarithmic axis, from many to few.

    >>> [list(map(round, each)) for each in candidates(2, 300)][:2]
    [[2, 5, 10, 20, 50, 100, 200], [3, 10, 30, 100, 300]]
    """
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    powers = [10.0**each for each in range(max(first, -307), min(last, 308) + 1)]
    choices = [
        [digit * power for power in powers for digit in digits]
        for digits in DIGITS
        if last - first <= 2 * MOST_TICKS
    ]
    choices += [
        [power for at, power in enumerate(powers, first) if at % stride == 0] for stride in STRIDES
    ]
    if high < 100 * low:
        choices += [MaxNLocator(count).tick_values(low, high) for count in range(5, 0, -1)]
    for choice in choices:
        ticks = within(choice, low, high)
        if len(ticks) <= MOST_TICKS:
            yield ticks


def within(ticks: Sequence[float], low: float, high: float) -> list[float]:
    """Keep the ticks on an axis with these ends, and those a rounding beyond them."""
    low, high = sorted((low, high))
    margin = 1e-9 * (high - low)
    return [float(tick) for tick in ticks if low - margin <= tick <= high + margin]


def have_room(axis: Axis, ticks: Sequence[float]) -> bool:
    """Tell whether the labels of these ticks do not overlap on an axis."""
    places = _places(axis, ticks)
    if not isinstance(axis, XAxis):
        return all(b - a >= LINE for a, b in pairwise(places))
    labels = axis.get_major_formatter().format_ticks(list(ticks))
    halves = [width_of(label) / 2 for label in labels]
    ends = list(zip(places, halves, strict=True))
    return all(b - a >= left + right + X_GAP for (a, left), (b, right) in pairwise(ends))


def _places(axis: Axis, ticks: Sequence[float]) -> list[float]:
    """Return the places of ticks along their axis, in points."""
    low, high, *scaled = axis.get_transform().transform([*axis.get_view_interval(), *ticks])
    box = axis.axes.bbox
    length = box.width if isinstance(axis, XAxis) else box.height
    length *= 72 / axis.axes.figure.dpi
    return sorted(length * (each - low) / (high - low) for each in scaled)


@cache
def width_of(label: str) -> float:
    """Return the width of a label, in points."""
    font = get_font(findfont(STYLE["font.family"]))
    font.set_size(SIZE, 72)
    font.set_text(label)
    return font.get_width_height()[0] / 64

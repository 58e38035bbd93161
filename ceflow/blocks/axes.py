"""Axes of a drawing: their ends, and their ticks with labels that are round numbers."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")

MARGIN = 0.04
"""Fraction of its length by which an axis extends beyond its values."""

MOST_TICKS = 7
"""Largest number of labelled ticks."""


@dataclass(frozen=True)
class Axis:
    """An axis from `low` to `high`, and the places of its ticks with their labels."""

    log: bool
    low: float
    high: float
    ticks: tuple[tuple[float, str], ...]

    def share(self, value: float) -> float:
        """Return the place of a value: 0 at the low end, 1 at the high end.

        >>> axis = axis_over([1, 100], log=True, tight=True)
        >>> axis.share(10.0)
        0.5
        """
        low, high, at = map(self._place, (self.low, self.high, value))
        return (at - low) / (high - low)

    def plain(self) -> dict[str, Any]:
        """Return the axis as JSON values."""
        return {"low": self.low, "high": self.high, "ticks": self.ticks}

    def _place(self, value: float) -> float:
        return math.log10(value) if self.log else value


def axis_over(values: Sequence[float], *, log: bool, tight: bool = False) -> Axis:
    """Return an axis over values, all above 0 if it is logarithmic; with `tight` it ends at them.

    >>> [label for _, label in axis_over([0.0, 1.0], log=False).ticks]
    ['0.0', '0.2', '0.4', '0.6', '0.8', '1.0']
    >>> [label for _, label in axis_over([1e-6, 1.0], log=True).ticks]
    ['10⁻⁶', '10⁻⁵', '10⁻⁴', '10⁻³', '0.01', '0.1', '1']
    """
    low, high = (min(values), max(values)) if values else (0.0, 1.0)
    if log:
        return _logarithmic(low, high, 0 if tight else MARGIN)
    if high - low <= 1e-9 * max(abs(low), abs(high)):  # all but one value
        room = 0.1 * abs(low) or 1.0
        low, high = low - room, high + room
    elif not tight:
        low, high = low - MARGIN * (high - low), high + MARGIN * (high - low)
    return Axis(False, low, high, tuple(_round_ticks(low, high)))


def _logarithmic(low: float, high: float, margin: float) -> Axis:
    first, last = math.log10(low), math.log10(high)
    if last - first < 1e-9:
        first, last = first - 0.1, last + 0.1
    room = margin * (last - first)
    first, last = first - room, last + room
    low, high = 10.0**first, 10.0**last
    decades = range(math.ceil(first), math.floor(last) + 1)
    if len(decades) >= 3:
        step = math.ceil(len(decades) / MOST_TICKS)
        ticks = [10.0**n for n in decades if n % step == 0]
    else:
        ticks = _within_decades(low, high)
    if len(ticks) < 2:  # less than a factor of 2
        return Axis(True, low, high, tuple(_round_ticks(low, high)))
    return Axis(True, low, high, tuple((tick, power_of_ten(tick)) for tick in ticks))


def _within_decades(low: float, high: float) -> list[float]:
    """Return ticks at 1, 2 and 5 times powers of ten, or at all whole multiples, if few."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((*range(1, 10),), (1, 2, 5), (1, 3), (1,)):
        every = [factor * 10.0**n for n in decades for factor in factors]
        ticks = [tick for tick in every if low <= tick <= high]
        if len(ticks) <= MOST_TICKS:
            return ticks
    return []


def _round_ticks(low: float, high: float) -> Iterator[tuple[float, str]]:
    """Yield ticks at multiples of 1, 2 or 5 times a power of ten."""
    least = (high - low) / (MOST_TICKS - 1)
    scale = 10.0 ** math.floor(math.log10(least))
    step = next(factor * scale for factor in (1, 2, 5, 10) if factor * scale >= least * 0.999)
    first, last = math.ceil(low / step - 1e-6), math.floor(high / step + 1e-6)
    digits = max(-math.floor(math.log10(step)), 0)
    far = max(abs(low), abs(high))
    for index in range(first, last + 1):
        value = index * step
        yield value, _plain(value, step, digits, far)


def _plain(value: float, step: float, digits: int, far: float) -> str:
    """Write a tick; of a very long or short number, with a power of ten."""
    if far >= 1e6 or far < 1e-3:
        if not value:
            return "0"
        exponent = math.floor(math.log10(abs(value)) + 1e-9)
        places = max(exponent - math.floor(math.log10(step)), 0)
        return f"{value / 10.0**exponent:.{places}f}×10{str(exponent).translate(RAISED)}"
    return f"{value:,.{digits}f}"


def power_of_ten(x: float, digits: int = 6) -> str:
    """Return a label of a logarithmic axis.

    >>> [power_of_ten(x) for x in (1e-9, 3e-3, 0.05, 2, 1000, 5e4)]
    ['10⁻⁹', '3×10⁻³', '0.05', '2', '1000', '5×10⁴']
    """
    exponent = int(f"{x:.{digits - 1}e}".partition("e")[2])
    if -2 <= exponent <= 3:
        return f"{x:.{max(digits, exponent + 1)}g}"
    factor = f"{x:.{digits - 1}e}".partition("e")[0].rstrip("0").rstrip(".")
    return f"{'' if factor == '1' else f'{factor}×'}10{str(exponent).translate(RAISED)}"

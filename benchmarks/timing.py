"""Timing that stands noise: medians, and ratios of runs that took turns."""

import statistics
import time
from collections.abc import Callable


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def median(work: Callable[[], object], runs: int = 11) -> float:
    """The median of several calls, after one that is not counted."""
    work()
    return statistics.median(seconds(work) for _ in range(runs))


def in_turns(
    ours: Callable[[], float], theirs: Callable[[], float], runs: int = 15
) -> tuple[float, float, float]:
    """Medians of two timers called in turns, and the median of the ratios pair by pair."""
    ours()
    theirs()
    pairs = [(ours(), theirs()) for _ in range(runs)]
    return (
        statistics.median(a for a, _ in pairs),
        statistics.median(b for _, b in pairs),
        statistics.median(a / b for a, b in pairs),
    )

"""Sizes, durations and other numbers for people, and positions on a scale."""

from collections.abc import Callable

from ceflow.blocks import number

ABSENT = "-"
"""Text in place of a value that is not known."""

ROUNDING = 1e-14
"""Relative rounding error of a number after a few sums."""


def size(count: float) -> str:
    """Write bytes with a unit.

    >>> size(320_000), size(1.5e9), size(999.6e6)
    ('320 kB', '1.5 GB', '1 GB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def seconds(value: float) -> str:
    """Write a duration.

    >>> seconds(0.0213), seconds(12.34), seconds(125), seconds(5000)
    ('21 ms', '12.3 s', '2 min 5 s', '1 h 23 min')
    >>> seconds(2e5), seconds(4e7), seconds(1e10)
    ('2.31 days', '463 days', '317 years')
    """
    if value < 0.9995:
        return f"{1000 * value:.0f} ms"
    if value < 59.95:
        return f"{value:.1f} s"
    if value < 3599.5:
        return f"{round(value) // 60} min {round(value) % 60} s"
    if value < 48 * 3600:
        return f"{round(value / 60) // 60} h {round(value / 60) % 60} min"
    days, year = value / 86400, 365.25
    return f"{days:.3g} days" if days < 2 * year else f"{days / year:.3g} years"


def of_sessions(count: int) -> str:
    """Say of how many sessions a time is the sum, after that time.

    >>> of_sessions(1), of_sessions(3)
    ('', ', the sum of 3 sessions')
    """
    return f", the sum of {count} sessions" if count > 1 else ""


def known(value: float | None, write: Callable[[float], str]) -> str:
    """Write a number by a function such as `seconds`, or say that it is not known.

    >>> known(0.5, seconds), known(None, seconds)
    ('500 ms', '-')
    """
    return ABSENT if value is None else write(value)


def share(value: float, low: float, high: float) -> float:
    """Return the position of a value between `low` (0) and `high` (1).

    It is 0 if they differ only by rounding.

    >>> share(2.0, 1.0, 5.0), share(0.1 + 0.2, 0.3, 0.1 + 0.2)
    (0.25, 0.0)
    """
    largest = max(abs(low), abs(high))
    if not high / 2 - low / 2 > ROUNDING * largest:  # halves, for their difference is finite
        return 0.0
    return (value / 2 - low / 2) / (high / 2 - low / 2)


def ends(low: float, high: float) -> tuple[str, str]:
    """Write the ends of an axis with four digits, or with as many as tell them apart.

    >>> ends(0.5, 1250), ends(1.00001, 1.00002), ends(2.0, 2.0)
    (('0.5', '1,250'), ('1.00001', '1.00002'), ('2', '2'))
    """
    texts = number(low), number(high)
    for digits in range(5, 18):
        if low == high or texts[0] != texts[1]:
            break
        texts = f"{low:.{digits}g}", f"{high:.{digits}g}"
    return texts


def spaced(left: str, right: str, width: int) -> str:
    """Write two texts at the ends of a line, with a space between them if it is too short.

    >>> spaced("0", "1", 5), spaced("-1.25e-10", "1.25e-10", 8)
    ('0   1', '-1.25e-10 1.25e-10')
    """
    return f"{left} {right:>{max(0, width - len(left) - 1)}}"

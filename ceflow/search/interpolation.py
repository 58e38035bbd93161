"""Positive functions between the points where they were measured."""

import math
from collections.abc import Callable, Sequence


def power_laws(x: Sequence[float], y: Sequence[float]) -> Callable[[float], float]:
    """Interpolate log y over log x monotonically: smooth pieces that do not overshoot (PCHIP).

    Exact at the points and for y = a x^b; inf outside of their range. `x` are positive, none twice,
    and `y` positive. Raises `ValueError` with fewer than two points.

    >>> square = power_laws([1, 2, 10], [3, 12, 300])
    >>> round(square(4), 9), square(11)
    (48.0, inf)
    """
    from scipy.interpolate import PchipInterpolator

    if len(x) < 2:
        raise ValueError("there is nothing between fewer than two points")
    points = sorted(zip(map(math.log, x), map(math.log, y), strict=True))
    ends = min(x), max(x)
    smooth = PchipInterpolator([at for at, _ in points], [value for _, value in points])

    def value(at: float) -> float:
        return math.exp(smooth(math.log(at))) if ends[0] <= at <= ends[1] else math.inf

    return value

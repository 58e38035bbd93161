"""From costs to numbers of members. What a network costs is affine in their number."""

import math
from collections.abc import Callable

ROUNDING = 1e-9
"""What a number of members may be short of a whole one by rounding."""


def most_members(limit: float, cost_of: Callable[[int], float]) -> float:
    """Solve for the real number of members whose network costs `limit`; below 1 if one costs more.

    `cost_of(m)` is the cost of the network of m members.

    >>> most_members(750, lambda m: 50 + 100 * m)
    7.0
    """
    one = cost_of(1)
    if not math.isfinite(one):
        return 0.0
    return 1 + (limit - one) / (cost_of(2) - one)


def nearest_multiplicity(
    target: float, cost_of: Callable[[int], float], beside: float | None = None
) -> int:
    """Find the whole number of members, 1 or more, whose network's cost is nearest to `target`.

    With `beside` only the two whole numbers around that one are considered.

    >>> nearest_multiplicity(790, lambda m: 50 + 100 * m)
    7
    >>> nearest_multiplicity(790, lambda m: 50 + 100 * m, beside=8.4)
    8
    """
    real = most_members(target, cost_of) if beside is None else beside
    low = math.floor(real)
    return min((max(1, low), max(1, low + 1)), key=lambda m: abs(cost_of(m) - target))


def whole_members(multiplicity: float) -> int:
    """Round a number of members down, past the rounding of numbers.

    >>> whole_members(7 - 1e-12), whole_members(7.9), whole_members(0.5)
    (7, 7, 0)
    """
    return math.floor(multiplicity * (1 + ROUNDING))

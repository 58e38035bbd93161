"""Rank correlations between measurements, with their intervals and p values."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
from jaxtyping import Float

from ceflow.variance.fit import CONFIDENCE_LEVEL, columns

MOST_PERMUTED = 8
"""Largest number of points whose permutations are all tried for a p value: 40,320 of 8."""

ROUNDING = 1e-10
"""Share of a column's squares below which what is left of it is rounding."""

Column = Float[np.ndarray, " points"]


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's rank correlation, or the partial one if a third column is given.

    - `coefficient`: correlation of the ranks, from -1 to 1.
    - `interval`: 95 % confidence interval; None for a coefficient of -1 or 1, whose error is not
      known.
    - `p_value`: probability of a coefficient as far from 0, if there is no correlation.
    """

    coefficient: float
    interval: tuple[float, float] | None
    p_value: float


def rank_correlation(
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    given: Sequence[float] | np.ndarray | None = None,
) -> RankCorrelation:
    """Compute the correlation r of the ranks of x and y; equal values share their mean rank.

    With `given`, what its ranks explain linearly is first taken from both: this is the partial
    correlation `(r_xy - r_xg r_yg) / sqrt((1 - r_xg^2) (1 - r_yg^2))` of the ranks.

    The interval is `tanh(artanh r ± 1.96 s)` with `s^2 = (1 + r^2/2) / (n - 3)` (Bonett and Wright,
    Psychometrika 65, 2000, eq. 3); for a partial correlation n - 4 in place of n - 3. The p value
    of 8 points or fewer counts permutations: of the ranks, or of what is left of them (Freedman
    and Lane). That of more points is from Student's distribution, but never below 2/n!, that of a
    perfect order.

    Raises `ValueError` for fewer than 4 points, or 5 with `given`, for a column of equal values,
    and if `given` determines the order of x or y.

    >>> found = rank_correlation([1, 2, 3, 4, 5], [1, 3, 2, 5, 4])
    >>> round(found.coefficient, 3), round(found.p_value, 3)
    (0.8, 0.133)
    """
    table = columns({"x": x, "y": y} | ({} if given is None else {"given": given}))
    count, fewest = len(table["x"]), 3 + len(table) - 1
    if count < fewest:
        kind = "a rank correlation" if given is None else "a partial rank correlation"
        raise ValueError(f"{kind} needs {fewest} points, and there are {count}")
    for name, column in table.items():
        if len(set(column.tolist())) < 2:
            raise ValueError(f"all values of {name} are equal, so that they have no order")
    ranks = {name: centred_ranks(column) for name, column in table.items()}
    taken = ranks.pop("given", None)
    left = {name: _without(rank, taken) for name, rank in ranks.items()}
    for name, rest in left.items():
        if rest @ rest <= ROUNDING * (ranks[name] @ ranks[name]):
            raise ValueError(f"given determines the order of {name}, so that nothing is left of it")
    norm = math.sqrt(float((left["x"] @ left["x"]) * (left["y"] @ left["y"])))
    coefficient = min(1.0, max(-1.0, float(left["x"] @ left["y"]) / norm))
    perfect = 1 - abs(coefficient) < ROUNDING
    p_value = (
        _permuted(left["x"], left["y"], taken)
        if count <= MOST_PERMUTED
        else _by_student(coefficient, count, freedom=count - len(table))
    )
    interval = None if perfect else _interval(coefficient, count - fewest + 1)
    return RankCorrelation(coefficient, interval, p_value)


def centred_ranks(values: Column) -> Column:
    """Return the ranks of values less their mean; equal values share their mean rank.

    >>> centred_ranks(np.array([3.0, 1.0, 3.0]))
    array([ 0.5, -1. ,  0.5])
    """
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    highest = np.cumsum(counts)
    return (highest - (counts - 1) / 2)[places] - (len(values) + 1) / 2


def _without(column: Column, taken: Column | None) -> Column:
    """Return what is left of a column after the least-squares fit of another."""
    return column if taken is None else column - taken * (taken @ column) / (taken @ taken)


def _interval(coefficient: float, freedom: int) -> tuple[float, float]:
    from scipy.special import ndtri

    reach = float(ndtri((1 + CONFIDENCE_LEVEL) / 2))
    reach *= math.sqrt((1 + coefficient**2 / 2) / freedom)
    middle = math.atanh(coefficient)
    return math.tanh(middle - reach), math.tanh(middle + reach)


def _by_student(coefficient: float, count: int, freedom: int) -> float:
    """Compute the p value of `r sqrt(freedom / (1 - r^2))` by Student's distribution."""
    from scipy.special import stdtr

    rest = 1 - coefficient**2
    found = 2 * float(stdtr(freedom, -abs(coefficient) * math.sqrt(freedom / rest))) if rest else 0
    return max(found, 2 / math.factorial(count))


@cache
def _orders(count: int) -> np.ndarray:
    return np.array(list(permutations(range(count))))


def _permuted(x: Column, y: Column, taken: Column | None) -> float:
    """Return the share of the permutations of y whose correlation with x is as far from 0."""
    every = y[_orders(len(y))]
    squares = np.full(len(every), y @ y)
    if taken is not None:
        squares -= (every @ taken) ** 2 / (taken @ taken)
    products = (every @ x) ** 2
    far = products * (y @ y) >= squares * (x @ y) ** 2 * (1 - ROUNDING)
    return float(far.mean())

"""Correlations between measurements, of ranks or of logarithms, with intervals and p values."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import permutations

import numpy as np
from jaxtyping import Float, Int

from ceflow.variance.fit import CONFIDENCE_LEVEL, columns

MOST_PERMUTED = 8
"""Largest number of points whose permutations are all tried for a p value: 40,320 of 8."""

ROUNDING = 1e-10
"""Share of a column's squares below which what is left of it is rounding."""

Column = Float[np.ndarray, " points"]
Scale = Callable[[Column], Column]
"""What is correlated of a column: centred ranks, or centred logarithms."""


@dataclass(frozen=True)
class Correlated:
    """A correlation of ranks or of logarithms, or the partial one if a third column is given.

    - `coefficient`: correlation, from -1 to 1.
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
) -> Correlated:
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
    return _correlation("a rank correlation", x, y, given, centred_ranks)


def log_correlation(
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    given: Sequence[float] | np.ndarray | None = None,
) -> Correlated:
    """Compute the linear correlation of log x and log y, the partial one with `given`.

    It is as `rank_correlation` with logarithms in place of ranks, except that the interval is
    Fisher's, with `s^2 = 1/(n - 3)`, for logarithms that are jointly normal. Raises `ValueError`
    for a number that is not above 0, and as `rank_correlation` does.

    >>> round(log_correlation([1, 2, 4, 8], [8, 4, 2, 1.5]).coefficient, 3)
    -0.985
    """
    return _correlation("a correlation", x, y, given, centred_logarithms)


def _correlation(
    what: str,
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    given: Sequence[float] | np.ndarray | None,
    scale: Scale,
) -> Correlated:
    rest = left(x, y, given, scale, what)
    count, freedom = len(rest.x), len(rest.x) - 2 - (rest.taken is not None)
    coefficient = rest.coefficient
    perfect = 1 - abs(coefficient) < ROUNDING
    p_value = (
        float((np.abs(rest.permuted(every_order(count))) >= abs(coefficient) - ROUNDING).mean())
        if count <= MOST_PERMUTED
        else _by_student(coefficient, count, freedom)
    )
    more = coefficient**2 / 2 if scale is centred_ranks else 0.0
    return Correlated(
        coefficient, None if perfect else _interval(coefficient, more, freedom - 1), p_value
    )


@dataclass(frozen=True)
class Left:
    """Holds what is left of x and y, centred ranks or logarithms, after those `taken` of a third
    column are subtracted in proportion. Without a third column it is x and y.
    """

    x: Column
    y: Column
    taken: Column | None

    @property
    def coefficient(self) -> float:
        """Correlation of what is left."""
        norm = math.sqrt(float((self.x @ self.x) * (self.y @ self.y)))
        return min(1.0, max(-1.0, float(self.x @ self.y) / norm))

    def permuted(self, orders: Int[np.ndarray, "orders points"]) -> Float[np.ndarray, " orders"]:
        """Compute the correlation of x with y in each of these orders (Freedman and Lane)."""
        every = self.y[orders]
        squares = np.full(len(every), self.y @ self.y)
        if self.taken is not None:
            squares -= (every @ self.taken) ** 2 / (self.taken @ self.taken)
        norm = np.sqrt(np.maximum(squares, 0.0) * (self.x @ self.x))
        return np.divide(every @ self.x, norm, out=np.zeros(len(every)), where=norm > 0)


def left(
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    given: Sequence[float] | np.ndarray | None,
    scale: Scale,
    what: str,
) -> Left:
    """Scale the columns, and take from x and y what the third explains linearly.

    Raises `ValueError` as `rank_correlation` does; `what` names the number that is undefined.
    """
    table = columns({"x": x, "y": y} | ({} if given is None else {"given": given}))
    count, fewest = len(table["x"]), 3 + len(table) - 1
    if count < fewest:
        kind = what if given is None else what.replace("a ", "a partial ", 1)
        raise ValueError(f"{kind} needs {fewest} points, and there are {count}")
    for name, column in table.items():
        if len(set(column.tolist())) < 2:
            raise ValueError(f"all values of {name} are equal, so that they have no order")
    scaled = {name: scale(column) for name, column in table.items()}
    taken = scaled.pop("given", None)
    rest = {name: _without(column, taken) for name, column in scaled.items()}
    for name, each in rest.items():
        if each @ each <= ROUNDING * (scaled[name] @ scaled[name]):
            raise ValueError(f"given determines the order of {name}, so that nothing is left of it")
    return Left(rest["x"], rest["y"], taken)


def centred_logarithms(values: Column) -> Column:
    """Return the logarithms of values less their mean. Raises `ValueError` for one not above 0."""
    if not (values > 0).all():
        raise ValueError("a number that is not above 0 has no logarithm")
    logarithms = np.log(values)
    return logarithms - logarithms.mean()


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


def _interval(coefficient: float, more: float, freedom: int) -> tuple[float, float]:
    from scipy.special import ndtri

    reach = float(ndtri((1 + CONFIDENCE_LEVEL) / 2))
    reach *= math.sqrt((1 + more) / freedom)
    middle = math.atanh(coefficient)
    return math.tanh(middle - reach), math.tanh(middle + reach)


def _by_student(coefficient: float, count: int, freedom: int) -> float:
    """Compute the p value of `r sqrt(freedom / (1 - r^2))` by Student's distribution."""
    from scipy.special import stdtr

    rest = 1 - coefficient**2
    found = 2 * float(stdtr(freedom, -abs(coefficient) * math.sqrt(freedom / rest))) if rest else 0
    return max(found, 2 / math.factorial(count))


@cache
def every_order(count: int) -> Int[np.ndarray, "orders points"]:
    """Return all permutations of this many points, as indices."""
    return np.array(list(permutations(range(count))))

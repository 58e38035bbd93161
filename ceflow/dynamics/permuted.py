"""Tests of correlations by permutations, in one group of measurements or over several."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from jaxtyping import Float

from ceflow._words import one_of
from ceflow.dynamics.ranks import (
    ROUNDING,
    Left,
    centred_logarithms,
    centred_ranks,
    every_order,
    left,
)

SCALES = {
    "spearman": (centred_ranks, "a rank correlation"),
    "logarithms": (centred_logarithms, "a correlation"),
}
CHUNK = 2000
"""Number of permutations that are held at a time."""

Group = tuple[Sequence[float], ...]
"""Columns x and y of a group, and the given one if there is one."""


@dataclass(frozen=True)
class Joint:
    """The mean over groups of a correlation, tested by permutations of y within each group.

    - `coefficient`: mean of the correlations of the groups.
    - `p_value`: share of permutations whose mean is as far from 0.
    - `permutations`: number of permutations counted, the given order included.
    - `resolution`: least p that they can give.
    - `exact`: whether they are all that there are, and not drawn.
    """

    coefficient: float
    p_value: float
    permutations: int
    resolution: float
    exact: bool


def joint_correlation(
    groups: Sequence[Group],
    kind: str = "spearman",
    *,
    most: int = 10_000,
    random: np.random.Generator | None = None,
) -> Joint:
    """Compute the mean correlation of groups, and its p value by permutations within the groups.

    `kind` is `spearman` (of ranks) or `logarithms`. With a third column in each group the
    correlations are partial ones, and what is left of y is permuted (Freedman and Lane). If all
    permutations together are at most `most`, all are counted; otherwise `most` are drawn, and
    p = (1 + k)/(1 + most), where k of them are as far from 0. Raises `ValueError` as
    `rank_correlation` does.

    >>> found = joint_correlation([([1, 2, 3, 4, 5], [1, 3, 2, 5, 4])])
    >>> round(found.coefficient, 3), round(found.p_value, 3), found.permutations, found.exact
    (0.8, 0.133, 120, True)
    """
    one_of("the kind of correlation", kind, SCALES)
    scale, what = SCALES[kind]
    rests = [
        left(group[0], group[1], group[2] if len(group) > 2 else None, scale, what)
        for group in groups
    ]
    if not rests:
        raise ValueError("there is no group to correlate")
    total = math.prod(math.factorial(len(rest.x)) for rest in rests)
    exact = total <= most
    observed = float(np.mean([rest.coefficient for rest in rests]))
    drawn = _every(rests) if exact else _drawn(rests, most, random or np.random.default_rng(0))
    far = sum(int((np.abs(means) >= abs(observed) - ROUNDING).sum()) for means in drawn)
    count = total if exact else most + 1
    return Joint(observed, (far if exact else far + 1) / count, count, 1 / count, exact)


def _drawn(
    rests: Sequence[Left], count: int, random: np.random.Generator
) -> Iterator[Float[np.ndarray, " some"]]:
    """Yield the mean correlation of this many random permutations, in chunks."""
    for start in range(0, count, CHUNK):
        size = min(CHUNK, count - start)
        orders = ([random.permutation(len(rest.x)) for _ in range(size)] for rest in rests)
        each = [rest.permuted(np.array(own)) for rest, own in zip(rests, orders, strict=True)]
        yield np.mean(each, axis=0)


def _every(rests: Sequence[Left]) -> Iterator[Float[np.ndarray, " some"]]:
    """Yield the mean correlation of every combination of permutations."""
    each = [rest.permuted(every_order(len(rest.x))) for rest in rests]
    yield np.array([float(np.mean(one)) for one in product(*each)])

"""The verdict on a claim: measured numbers, expected numbers, and tolerances."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ceflow.history import ABSENT, History

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float


@dataclass(frozen=True)
class Part:
    """A measured number, the number that the claim predicts, and its tolerance.

    >>> Part(-0.9, -1.0, 0.15).holds, Part(math.nan, 0.0, 1.0).holds
    (True, False)
    >>> Part(0.0, 0.0, 0.0).holds, Part(0.1, 0.0, 0.0).holds
    (True, False)
    """

    value: float
    expected: float
    tolerance: float

    @property
    def deviation(self) -> float:
        """Deviation from the expected number, as a multiple of the tolerance."""
        distance = abs(self.value - self.expected)
        if not self.tolerance:  # no noise at all, as where every network is dead
            return 0.0 if distance == 0 else math.inf
        deviation = distance / self.tolerance
        return math.inf if math.isnan(deviation) else deviation

    @property
    def holds(self) -> bool:
        return self.deviation <= 1


def by_step(columns: "Mapping[str, Float[np.ndarray, ' steps']]") -> History:
    """Record residuals step by step; a column that ends early says nothing of later steps.

    >>> import numpy as np
    >>> list(by_step({"f": np.array([0.5, math.nan]), "g": np.array([1.0])}).lines())
    [{'step': 0, 'f': 0.5, 'g': 1.0}, {'step': 1, 'f': None}]
    """
    steps = max(map(len, columns.values()))
    padded = {
        name: (
            *(value if math.isfinite(value) else None for value in column.tolist()),
            *[ABSENT] * (steps - len(column)),
        )
        for name, column in columns.items()
    }
    return History({"step": tuple(range(steps)), **padded})


@dataclass(frozen=True)
class Verdict:
    """A claim's parts, all of which must hold; other numbers; residuals by step, to be drawn."""

    parts: Mapping[str, Part]
    details: Mapping[str, Any] = field(default_factory=dict)
    history: History = field(default_factory=lambda: History({}))

    @property
    def worst(self) -> str:
        """Name of the part with the largest deviation relative to its tolerance."""
        return max(self.parts, key=lambda name: self.parts[name].deviation)

    @property
    def holds(self) -> bool:
        return self.parts[self.worst].holds


ERROR_RATE = 1e-4
"""Probability that a true claim is rejected by chance."""

FACTOR = 5
"""Largest residual, as a multiple of the typical one."""

TRAJECTORY = 8
"""Largest error of F times sqrt(n): its median over networks is 1.7, the largest of 60 was
4.9."""

ROUNDINGS = 10
"""Largest error of a result, as a multiple of its rounding; for sums over n units, the rounding is
sqrt(n) eps."""


def typical(d: int, outputs: int, width: int) -> float:
    """Say what residuals of f and g come to at width n, in the median over networks: `c n^-1/2`.

    `c^2 = 4 + 0.4 max(d, outputs)`: each component of g (of F) hears the noise of the kernel's
    entries with all others. Measured with ReLU at d from 1 to 30, 1 to 10 outputs, 2 to 64
    examples, one and two hidden layers, n of 1,000 and 10,000: of 70 networks one was more than 2.3
    times as far off, 4.6 times. Of erf and linear networks it is less.
    """
    return ((4 + 0.4 * max(d, outputs)) / width) ** 0.5


def noise_reach(parts: int = 1) -> float:
    """Say how many times its root mean square the norm of Gaussian noise may be.

    Its square is a sum of lambda_i chi^2_1 with lambdas that add up to 1, whose tail is at most
    that of one chi^2_1, far out (Szekely and Bakirov 2003). Of several parts each has its share of
    the error rate.

    >>> round(noise_reach(), 2)
    3.89
    """
    from scipy.special import ndtri

    return float(-ndtri(ERROR_RATE / parts / 2))


def noise_bound(variances: "Float[np.ndarray, ' k']", parts: int = 1) -> float:
    """Bound the norm of independent Gaussians of these variances.

    `|z|^2 <= sum l + 2 sqrt(x sum l^2) + 2 x max l` but for exp(-x) of all draws (Laurent and
    Massart 2000). Of many alike it is far less than `noise_reach` times their root sum.

    >>> import numpy as np
    >>> round(noise_bound(np.ones(1)), 2), round(noise_bound(np.ones(100) / 100), 2)
    (5.05, 1.34)
    """
    x = math.log(parts / ERROR_RATE)
    squares = float((variances**2).sum())
    return math.sqrt(variances.sum() + 2 * math.sqrt(x * squares) + 2 * x * variances.max())

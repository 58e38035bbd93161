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
        if not self.tolerance:  # no noise at all, for example if every network is dead
            return 0.0 if distance == 0 else math.inf
        deviation = distance / self.tolerance
        return math.inf if math.isnan(deviation) else deviation

    @property
    def holds(self) -> bool:
        return self.deviation <= 1

    @property
    def says_little(self) -> bool:
        """True if the number is a relative error, or an excess kurtosis, that may be 1 or more.

        >>> Part(0.9, 0.0, 5.2).says_little, Part(0.9, 0.0, 0.95).says_little
        (True, False)
        """
        return self.expected == 0 and self.tolerance >= 1


def by_step(columns: "Mapping[str, Float[np.ndarray, ' steps']]") -> History:
    """Return residuals as a history by step; a column that ends early is absent from later steps.

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
    """A claim's parts, all of which must hold, with other numbers and residuals by step to plot."""

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
"""Largest probability that a true claim is rejected by chance."""

RESIDUAL_FACTOR = 5
"""Largest allowed residual, as a multiple of the typical one."""

TRAJECTORY_FACTOR = 8
"""Largest allowed error of F times sqrt(n). The median over networks is 1.7, and the largest of 60
was 4.9."""

ROUNDING_FACTOR = 10
"""Largest allowed error of a result, as a multiple of its rounding error, which is sqrt(n) eps for
sums over n units."""


def typical(d: int, outputs: int, width: int) -> float:
    """Return the typical residual of f and g at width n, `c n^-1/2`, a median over networks.

    It has `c^2 = 4 + 0.4 max(d, outputs)`, because the noise in all entries of a kernel adds up in
    each component of g (and of F). It was measured on ReLU networks with d from 1 to 30, 1
    to 10 outputs, 2 to 64 examples, one and two hidden layers, and n of 1,000 and 10,000. Of 70
    networks, one had a residual above 2.3 times this value (4.6 times). Residuals of erf and linear
    networks are smaller.
    """
    return ((4 + 0.4 * max(d, outputs)) / width) ** 0.5


def noise_reach(parts: int = 1) -> float:
    """Return the largest allowed norm of Gaussian noise, as a multiple of its root mean square.

    The norm exceeds it with probability `ERROR_RATE/parts`, or less: each of several parts of a
    claim gets an equal share of the error rate. The squared norm over its mean is a sum of
    lambda_i chi^2_1, where the lambda_i sum to 1. Its far tail is at most that of a single chi^2_1
    (Szekely and Bakirov 2003).

    >>> round(noise_reach(), 2)
    3.89
    """
    from scipy.special import ndtri

    return float(-ndtri(ERROR_RATE / parts / 2))


def noise_bound(variances: "Float[np.ndarray, ' k']", parts: int = 1) -> float:
    """Return a bound on the norm of a vector z of independent Gaussians with variances l.

    With probability 1 - exp(-x), `|z|^2 <= sum l + 2 sqrt(x sum l^2) + 2 x max l` (Laurent and
    Massart 2000); here `exp(-x) = ERROR_RATE/parts`. For many similar variances, the bound is far
    below `noise_reach` times the root of their sum.

    >>> import numpy as np
    >>> round(noise_bound(np.ones(1)), 2), round(noise_bound(np.ones(100) / 100), 2)
    (5.05, 1.34)
    """
    x = math.log(parts / ERROR_RATE)
    squares = float((variances**2).sum())
    return math.sqrt(variances.sum() + 2 * math.sqrt(x * squares) + 2 * x * variances.max())

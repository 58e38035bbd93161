"""What is found of a claim: numbers, what they should be, and within what."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

ERROR_RATE = 1e-4
"""How often a true claim may be denied by chance."""


@dataclass(frozen=True)
class Part:
    """One number that a claim says something of.

    >>> Part(-0.9, -1.0, 0.15).holds, Part(math.nan, 0.0, 1.0).holds
    (True, False)
    """

    value: float
    expected: float
    tolerance: float

    @property
    def deviation(self) -> float:
        """From what is expected, as a multiple of the tolerance."""
        deviation = abs(self.value - self.expected) / self.tolerance
        return math.inf if math.isnan(deviation) else deviation

    @property
    def holds(self) -> bool:
        return self.deviation <= 1


@dataclass(frozen=True)
class Verdict:
    """A claim's parts, all of which must hold; other numbers; residuals by step, to be drawn."""

    parts: Mapping[str, Part]
    details: Mapping[str, Any] = field(default_factory=dict)
    courses: "Mapping[str, Float[np.ndarray, ' steps']]" = field(default_factory=dict)

    @property
    def worst(self) -> str:
        """The part that is nearest to its tolerance, or farthest beyond."""
        return max(self.parts, key=lambda name: self.parts[name].deviation)

    @property
    def holds(self) -> bool:
        return self.parts[self.worst].holds


def noise_reach(parts: int = 1) -> float:
    """How many times its root mean square the norm of Gaussian noise may be.

    Its square is a sum of lambda_i chi^2_1 with lambdas that add up to 1, whose tail is at most
    that of one chi^2_1, far out (Szekely and Bakirov 2003). Of several parts each has its share of
    the error rate.

    >>> round(noise_reach(), 2)
    3.89
    """
    from scipy.special import ndtri

    return float(-ndtri(ERROR_RATE / parts / 2))


def noise_bound(variances: "Float[np.ndarray, ' k']", parts: int = 1) -> float:
    """What the norm of independent Gaussians of these variances may be.

    `|z|^2 <= sum l + 2 sqrt(x sum l^2) + 2 x max l` but for exp(-x) of all draws (Laurent and
    Massart 2000). Of many alike it is far less than `noise_reach` times their root sum.

    >>> import numpy as np
    >>> round(noise_bound(np.ones(1)), 2), round(noise_bound(np.ones(100) / 100), 2)
    (5.05, 1.34)
    """
    x = math.log(parts / ERROR_RATE)
    squares = float((variances**2).sum())
    return math.sqrt(variances.sum() + 2 * math.sqrt(x * squares) + 2 * x * variances.max())

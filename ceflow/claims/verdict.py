"""What is found of a claim: numbers, what they should be, and within what."""

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
    """One number that a claim says something of.

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
        """The deviation from what is expected, as a multiple of the tolerance."""
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
        """The part that is nearest to its tolerance, or farthest beyond."""
        return max(self.parts, key=lambda name: self.parts[name].deviation)

    @property
    def holds(self) -> bool:
        return self.parts[self.worst].holds

"""The whole spectrum of a kernel, and the learning curve that it predicts."""

import math
from typing import TYPE_CHECKING

from ceflow import kernels
from ceflow.stages.kernel.result import ModePoint
from ceflow.stages.result import Values
from ceflow.stages.stage import finite

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from ceflow.kernels import Matrix

ENDS = ("eigenvalue_max", "eigenvalue_min", "condition")
"""Fields of the result with any `spectrum`."""

FULL_SPECTRUM = (*ENDS, "eigenvalues", "power", "curve")
"""Fields of the result with `spectrum = "full"`."""

POINTS_PER_DECADE = 12
"""Number of points of the curve for each factor of 10 in k."""


def full_spectrum(
    kernel: "Matrix", targets: "Float[np.ndarray, 'n outputs']", ridge: float | None
) -> Values:
    """Compute all eigenvalues and the power of the targets, and predict the learning curve for a
    ridge relative to the mean diagonal entry.
    """
    import numpy as np

    found = kernels.modes(kernel, targets)
    whole = float(found.power.sum())
    cumulative = np.cumsum(found.power) / whole if whole else None
    absolute = (ridge or 0.0) * float(kernel.diagonal().mean(dtype=float))
    numbers = spaced(len(found.power))
    predicted = [k for k in numbers if k <= len(found.power) // 2]
    errors = dict(zip(predicted, kernels.learning_curve(found, predicted, absolute), strict=True))
    curve = []
    for k in numbers:
        point = ModePoint(
            k=k,
            eigenvalue=float(found.eigenvalues[k - 1]),
            cumulative_power=None if cumulative is None else float(cumulative[k - 1]),
        )
        error = {"predicted_mse": finite(errors[k])} if k in errors else {}
        curve.append(point.model_copy(update=error))
    arrays = {"eigenvalues": found.eigenvalues, "power": found.power}
    return {**found.ends._asdict(), **arrays, "curve": curve}


def spaced(size: int) -> list[int]:
    """List whole numbers from 1 to `size` that are evenly spaced in the logarithm, both ends
    included.

    >>> spaced(1), spaced(12)[-4:]
    ([1], [7, 8, 10, 12])
    """
    count = 1 + math.ceil(POINTS_PER_DECADE * math.log10(size))
    steps = (size ** (step / max(1, count - 1)) for step in range(count))
    return sorted({round(step) for step in steps})

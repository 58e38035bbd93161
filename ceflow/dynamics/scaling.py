"""Power laws, from measurements that scatter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ceflow.variance.fit import uncertainty


@dataclass(frozen=True)
class PowerLaw:
    """`y = factor x^slope`, with the standard error and the 95 % interval of the slope.

    `residuals` are measured minus fitted log y. Errors are None where two points without errors of
    their own leave nothing to judge by.
    """

    slope: float
    factor: float
    stderr: float | None
    interval: tuple[float, float] | None
    residuals: tuple[float, ...]


def power_law(
    x: Sequence[float] | np.ndarray,
    y: Sequence[float] | np.ndarray,
    stderrs: Sequence[float] | np.ndarray | None = None,
) -> PowerLaw:
    """Fit the slope of log y against log x, by least squares.

    It is weighted where y has standard errors.

    Theorem 1 of CE says -1 of the drift of the NTK, Lemma 1 -1/2 of its distance from the NMK. The
    standard error is the larger of what the points' errors and what their scatter about the line
    say (Birge); the interval is Student's with the freedom that the points leave, normal where that
    is none. Raises `ValueError` for fewer than two different x, and numbers that are not above 0.

    >>> law = power_law([10, 20, 40], [3.0, 1.5, 0.75])
    >>> round(law.slope, 6), round(law.factor, 6)
    (-1.0, 30.0)
    """
    logs = _log("x", x), _log("y", y)
    if len(logs[0]) != len(logs[1]) or len(set(logs[0].tolist())) < 2:
        raise ValueError("a power law needs a y for each x, and at least two different x")
    errors = np.ones(len(logs[0])) if stderrs is None else _log_errors(stderrs, logs[1])
    weights = (errors.min() / errors) ** 2
    means = [float(np.average(part, weights=weights)) for part in logs]
    dx, dy = (part - mean for part, mean in zip(logs, means, strict=True))
    curvature = float((weights * dx**2).sum())
    slope = float((weights * dx * dy).sum()) / curvature
    residuals = dy - slope * dx
    squares = float((weights * residuals**2).sum())
    least = None if stderrs is None else float(errors.min())
    return PowerLaw(
        slope,
        float(np.exp(means[1] - slope * means[0])),
        *uncertainty(slope, curvature, least, squares, len(dx) - 2),
        tuple(residuals.tolist()),
    )


def _log(name: str, values: Sequence[float] | np.ndarray) -> np.ndarray:
    array = np.asarray(values, float)
    if not (np.isfinite(array) & (array > 0)).all():
        raise ValueError(f"a power law has no logarithm of {name}: its values must be above 0")
    return np.log(array)


def _log_errors(stderrs: Sequence[float] | np.ndarray, log_y: np.ndarray) -> np.ndarray:
    errors = np.asarray(stderrs, float) / np.exp(log_y)
    if not (np.isfinite(errors) & (errors > 0)).all():
        raise ValueError("standard errors must be above 0; leave them out where they are not known")
    return errors

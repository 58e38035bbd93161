"""Fits of power laws to noisy measurements."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ceflow.variance.fit import columns, curvature_of, uncertainty


@dataclass(frozen=True)
class PowerLaw:
    """A fitted `y = factor x^slope`, with the standard error and the 95 % interval of the slope.

    `residuals` are measured minus fitted log y. `stderr` and `interval` are None for two points
    without errors, which do not determine them.
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

    Points are weighted by the standard errors of y, if given. In CE, theorem 1 predicts slope -1
    for the drift of the NTK, and lemma 1 slope -1/2 for its distance from the NMK.

    The standard error is the larger of two: the one from the errors of the points, and the one from
    their scatter about the line (Birge). The interval is from Student's distribution, or from the
    normal distribution if there are no degrees of freedom. Raises `ValueError` for fewer than two
    different x, and for numbers that are not above 0.

    >>> law = power_law([10, 20, 40], [3.0, 1.5, 0.75])
    >>> round(law.slope, 6), round(law.factor, 6)
    (-1.0, 30.0)
    """
    given = columns({"x": x, "y": y, "stderrs": stderrs})
    logs = _log("x", given["x"]), _log("y", given["y"])
    if len(set(logs[0].tolist())) < 2:
        raise ValueError("a power law needs at least two different x")
    errors = _log_errors(given["stderrs"], logs[1]) if "stderrs" in given else np.ones_like(logs[0])
    weights = (errors.min() / errors) ** 2
    means = [float(np.average(part, weights=weights)) for part in logs]
    dx, dy = (part - mean for part, mean in zip(logs, means, strict=True))
    curvature = curvature_of(weights, dx)
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


def _log(name: str, values: np.ndarray) -> np.ndarray:
    if not (values > 0).all():
        raise ValueError(f"a power law has no logarithm of {name}: its values must be above 0")
    return np.log(values)


def _log_errors(stderrs: np.ndarray, log_y: np.ndarray) -> np.ndarray:
    errors = stderrs / np.exp(log_y)
    if not (np.isfinite(errors) & (errors > 0)).all():
        raise ValueError("standard errors must be above 0; leave them out where they are not known")
    return errors

"""Fitting alpha to moments measured at several widths (CE Algorithm 1)."""

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ceflow._numbers import numbers

CONFIDENCE_LEVEL = 0.95


@dataclass(frozen=True)
class Fit:
    """A fit of `log(E[K^2]/E[K]^2) = alpha S` (CE eq. 9).

    - `stderr`, `interval`: standard error and 95 % confidence interval of alpha; None for a single
      exact point, which does not determine them.
    - `residuals`: measured minus fitted logarithm at each point.
    - `leverages`: weight of each point in alpha, `w S^2` over its sum; they add up to 1.
    - `intercept`, `alpha_with_intercept`: results of a fit with a constant term, which the law does
      not have; None with fewer than three points.
    """

    alpha: float
    stderr: float | None
    interval: tuple[float, float] | None
    residuals: tuple[float, ...]
    leverages: tuple[float, ...]
    intercept: float | None
    alpha_with_intercept: float | None


def fit_alpha(
    fan_in_sums: Sequence[float], ratios: Sequence[float], stderrs: Sequence[float] | None = None
) -> Fit:
    """Fit by least squares through the origin, weighted by the standard errors of the ratios.

    Without errors (exact moments), deviations are those of the law, which are relative; so points
    are weighted by 1/S^2, and alpha is the mean of log(ratio)/S. The standard error is the larger
    of two: from the points' errors, and from their scatter about the line (Birge).

    Raises `ValueError` unless the columns have the same length, sums and ratios are above 0, and
    errors are at least 0.

    >>> fit = fit_alpha([0.1, 0.2, 0.3], np.exp([0.34, 0.68, 1.02]))
    >>> round(fit.alpha, 6)
    3.4
    """
    given = columns({"fan_in_sums": fan_in_sums, "ratios": ratios, "stderrs": stderrs})
    s, measured = given["fan_in_sums"], given["ratios"]
    if (s <= 0).any() or (measured <= 0).any():
        raise ValueError("fan_in_sums and ratios must be above 0; leave the other points out")
    if "stderrs" in given and (given["stderrs"] < 0).any():
        raise ValueError("stderrs must be 0 or more; leave them out if they are not known")
    y, errors = np.log(measured), given["stderrs"] / measured if "stderrs" in given else s
    errors = np.maximum(errors, 1e-12 * s)  # avoid division by 0
    weights = (errors.min() / errors) ** 2
    curvature = curvature_of(weights, s)
    alpha = float((weights * s * y).sum()) / curvature
    residuals = y - alpha * s
    squares = float((weights * residuals**2).sum())
    least = None if stderrs is None else float(errors.min())
    intercept, slope = _with_intercept(s, y, weights)
    return Fit(
        alpha,
        *uncertainty(alpha, curvature, least, squares, len(s) - 1),
        tuple(residuals.tolist()),
        tuple((weights * s**2 / curvature).tolist()),
        intercept,
        slope,
    )


def columns(given: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Convert named columns of points to float64 arrays; columns that are None are left out.

    Raises `ValueError` unless all are lists of the same number of finite numbers, at least one.
    """
    found = {
        name: np.asarray(numbers(values), float)
        for name, values in given.items()
        if values is not None or name != "stderrs"
    }
    for name, array in found.items():
        if array.ndim != 1 or not array.size:
            raise ValueError(
                f"{name} must have a number for each point, not the shape {array.shape}"
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name} holds NaN or infinity; leave those points out")
    if len({len(array) for array in found.values()}) > 1:
        counts = ", ".join(f"{len(array)} of {name}" for name, array in found.items())
        raise ValueError(f"each point needs one number of each, not {counts}")
    return found


def curvature_of(weights: np.ndarray, x: np.ndarray) -> float:
    """Compute the sum of w x^2; raise `ValueError` if it over- or underflows."""
    with np.errstate(all="ignore"):
        curvature = float((weights * x**2).sum())
    if not sys.float_info.min <= curvature < math.inf:
        raise ValueError(
            "the points determine no slope in float64: only one of them has weight, or they lie"
            " too close together or too far apart; leave out those of another scale"
        )
    return curvature


def uncertainty(
    slope: float, curvature: float, least: float | None, squares: float, freedom: int
) -> tuple[float, tuple[float, float]] | tuple[None, None]:
    """Compute the standard error and the 95 % interval of a fitted slope.

    Points are weighted by `(least/error)^2`; `curvature` and `squares` are the weighted sums of
    squares of x and of the residuals. The standard error is the larger of two: from the points'
    errors, and from their scatter about the line (Birge). The interval is from Student's
    distribution with `freedom` degrees of freedom, or from the normal distribution if there are
    none. Both are None if there is neither a `least` error nor a degree of freedom.
    """
    said = [] if least is None else [least / curvature**0.5]
    if freedom:
        said.append((squares / freedom / curvature) ** 0.5)
    if not said:
        return None, None
    from scipy.special import ndtri, stdtrit

    tail = (1 + CONFIDENCE_LEVEL) / 2
    reach = max(said) * float(stdtrit(freedom, tail) if freedom else ndtri(tail))
    return max(said), (slope - reach, slope + reach)


def _with_intercept(
    s: np.ndarray, y: np.ndarray, weights: np.ndarray
) -> tuple[float, float] | tuple[None, None]:
    if len(set(s.tolist())) < 3:
        return None, None
    root = np.sqrt(weights)
    (intercept, slope), *_ = np.linalg.lstsq(
        np.stack([root, root * s], axis=1), root * y, rcond=None
    )
    return float(intercept), float(slope)

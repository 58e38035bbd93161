"""The result of a `variance` stage."""

from typing import ClassVar

from ceflow.stages.result import Record, Result


class Point(Record):
    """Moments of an NTK entry K over random weights at one width, and how well the law
    fits them.
    """

    ratio: float
    """Ratio of the widths to those of the model."""
    widths: list[int]
    """Hidden widths of one member at this ratio."""
    fan_in_sum: float
    """S, the sum of 1/fan-in over the layers that add variance (CE eq. 9): see [the law of the
    variance](semantics.md#the-law-of-the-variance)."""
    mean: float
    """E[K]."""
    moment_ratio: float
    """E[K^2]/E[K]^2."""
    moment_ratio_stderr: float
    """Standard error of `moment_ratio`; 0 for the method `exact`."""
    draws: int
    """Number of networks drawn; 0 for the method `exact`."""
    residual: float | None = None
    """log(`moment_ratio`) - `alpha` S."""
    leverage: float | None = None
    """Fraction of alpha that this point determines: w S^2 divided by its sum over the points, with
    w the weight in the fit; exact moments have equal weights."""


class VarianceResult(Result):
    """The law of the variance of the NTK over widths (CE Algorithm 1)."""

    alpha: float | None
    """Constant of the law E[K^2]/E[K]^2 = exp(alpha S); null if the points determine none."""
    alpha_stderr: float | None
    """Standard error of alpha, from the scatter of the points about the law; null if there is only
    one exact point."""
    interval: list[float] | None
    """95 % confidence interval of alpha by Student's t, `[low, high]`; null if `alpha_stderr` is
    null."""
    intercept: float | None
    """Constant term of a fit that has one, unlike the law; null with fewer than three points."""
    alpha_with_intercept: float | None
    """Alpha of the fit with a constant term; null if `intercept` is null."""
    method: str
    """The method used, `exact`, `sample` or `monte-carlo`, which `auto` may have chosen."""
    ROWS: ClassVar[str] = "points"
    points: list[Point]
    """One point for each width measured, narrowest first, without those whose moments are
    undefined."""

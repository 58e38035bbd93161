"""The result of a `variance` stage."""

from typing import ClassVar

from ceflow.stages.result import Record, Result


class Point(Record):
    """The moments of an NTK entry K over random weights at one width, and how the law fits them."""

    ratio: float
    """The ratio of the widths to those of the model."""
    widths: list[int]
    """The widths that it gives, of the hidden layers of one member."""
    fan_in_sum: float
    """S, the sum of 1/fan-in over the layers that add variance (CE eq. 9): see [the law of the
    variance](semantics.md#the-law-of-the-variance)."""
    mean: float
    """E[K]."""
    moment_ratio: float
    """E[K^2]/E[K]^2."""
    moment_ratio_stderr: float
    """Its standard error; 0 of the method `exact`."""
    draws: int
    """Networks drawn; 0 of the method `exact`."""
    residual: float | None = None
    """log(`moment_ratio`) - `alpha` S."""
    leverage: float | None = None
    """The share of alpha that the point decides, w S^2 over the sum of it, w its weight in the fit;
    of exact moments all weights are equal."""


class VarianceResult(Result):
    """The law of the NTK's variance over widths (CE Algorithm 1)."""

    alpha: float | None
    """The constant of the law E[K^2]/E[K]^2 = exp(alpha S); null where the points give none."""
    alpha_stderr: float | None
    """Its standard error, by how the points scatter about the law; null where a single exact point
    leaves nothing to judge by."""
    interval: list[float] | None
    """Its 95 % confidence interval by Student's t, `[low, high]`; null where `alpha_stderr` is."""
    intercept: float | None
    """The constant term that a fit with one would give, and the law has not; null with fewer than
    three points."""
    alpha_with_intercept: float | None
    """The alpha of that fit; null where `intercept` is."""
    method: str
    """The method used, `exact`, `sample` or `monte-carlo`: what `auto` stood for."""
    ROWS: ClassVar[str] = "points"
    points: list[Point]
    """One for each width measured, the narrowest first; less those whose moments are undefined."""

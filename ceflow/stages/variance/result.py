"""What a `variance` stage found."""

from typing import ClassVar

from ceflow.stages.result import Record, Result


class Point(Record):
    """The moments of an NTK entry K over random weights at one width, and how the law fits them."""

    ratio: float
    """Of the widths to those of the model."""
    widths: list[int]
    """Of the hidden layers of one member."""
    fan_in_sum: float
    """S, the sum of 1/fan-in over the layers that add variance (CE eq. 9)."""
    mean: float
    """E[K]."""
    moment_ratio: float
    """E[K^2]/E[K]^2."""
    moment_ratio_stderr: float
    """Its standard error; 0 where it is exact."""
    draws: int
    """Networks drawn; 0 where it is exact."""
    residual: float | None = None
    """Of log(E[K^2]/E[K]^2) from alpha S."""
    leverage: float | None = None
    """The share of alpha that this point decides."""


class VarianceResult(Result):
    """The law of the NTK's variance over widths (CE Algorithm 1)."""

    alpha: float | None
    """In E[K^2]/E[K]^2 = exp(alpha S); undefined where the points give none."""
    alpha_stderr: float | None
    """Its standard error, by how the points scatter about the law."""
    interval: list[float] | None
    """Both ends of that of 95 %, by Student's t."""
    intercept: float | None
    """Of the line that need not go through 0."""
    alpha_with_intercept: float | None
    """The slope of that line."""
    method: str
    """exact, sample or monte-carlo."""
    ROWS: ClassVar[str] = "points"
    points: list[Point]
    """One for each width, the narrowest first."""

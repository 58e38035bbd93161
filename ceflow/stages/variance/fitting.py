"""The fit of alpha to the points, and warnings about it."""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ceflow import variance
from ceflow.blocks import widths_text
from ceflow.spec import Variance
from ceflow.stages.variance.result import Point, VarianceResult

if TYPE_CHECKING:
    from ceflow.variance import Fit

LARGEST_RESIDUAL = 0.1
"""Largest relative residual of log(E[K^2]/E[K]^2) at which the law is said to hold."""

NOISE_STDERRS = 3
"""Number of standard errors within which a residual does not contradict the law."""

HEAVY_MOMENT_RATIO = 2.0
"""E[K^2]/E[K]^2 above which draws say too little about the tail: the standard deviation of K
exceeds its mean."""

LARGEST_LEVERAGE = 0.5
"""Largest fraction of alpha that one point may determine without a warning."""


def fitted(
    stage: Variance, method: str, points: list[Point], lost: Sequence[str] = ()
) -> VarianceResult:
    """Fit the law to the points; alpha is None if they do not determine it.

    `lost` holds sentences about widths that were left out.
    """
    if not points:
        return _without_alpha(method, points, lost, "no width has moments to fit it to")
    sums, ratios = [p.fan_in_sum for p in points], [p.moment_ratio for p in points]
    stderrs = None if method == "exact" else [p.moment_ratio_stderr for p in points]
    fit = variance.fit_alpha(sums, ratios, stderrs)
    if not fit.alpha > 0:
        why = (
            f"the fit gives {fit.alpha:.2g}, not above 0: K hardly varies at these widths; add"
            " smaller ratios, or draw more networks"
        )
        return _without_alpha(method, points, lost, why)
    columns = zip(points, fit.residuals, fit.leverages, strict=True)
    return VarianceResult(
        alpha=fit.alpha,
        alpha_stderr=fit.stderr,
        interval=fit.interval and list(fit.interval),
        intercept=fit.intercept,
        alpha_with_intercept=fit.alpha_with_intercept,
        method=method,
        points=[
            point.model_copy(update={"residual": residual, "leverage": leverage})
            for point, residual, leverage in columns
        ],
        warnings=[*lost, *_warnings(stage, points, fit)],
    )


def _without_alpha(
    method: str, points: list[Point], lost: Sequence[str], why: str
) -> VarianceResult:
    unfitted = {"residual": None, "leverage": None}
    return VarianceResult(
        alpha=None,
        alpha_stderr=None,
        interval=None,
        intercept=None,
        alpha_with_intercept=None,
        method=method,
        points=[point.model_copy(update=unfitted) for point in points],
        warnings=[*lost, f"alpha is undefined: {why}"],
    )


def _warnings(stage: Variance, points: list[Point], fit: "Fit") -> Iterator[str]:
    yield from _of_few_points(points)
    yield from _of_error(stage, points)
    yield from _of_tails(points)
    yield from _of_leverage(points, fit)
    yield from _of_law(points, fit)


def _of_few_points(points: list[Point]) -> Iterator[str]:
    if len(points) == 1:
        yield "alpha is of one point: nothing shows whether the law holds; measure more ratios"
    if len(points) == 2:
        yield (
            "alpha is of two points: its interval has one degree of freedom, and hardly shows"
            " whether the law holds; measure more ratios"
        )


def _of_error(stage: Variance, points: list[Point]) -> Iterator[str]:
    missed = [point for point in points if point.draws and stage.error]
    missed = [point for point in missed if _log_error(point) > stage.error]
    if missed:
        worst = max(map(_log_error, missed))
        yield (
            f"widths {_names(missed)}: an error of {worst:.2g} after {stage.most_draws:,} draws,"
            f" not {stage.error:g}; raise draws"
        )


def _of_tails(points: list[Point]) -> Iterator[str]:
    heavy = [point for point in points if point.draws and point.moment_ratio > HEAVY_MOMENT_RATIO]
    if heavy:
        yield (
            f"widths {_names(heavy)}: K has a heavy tail there, so draws make E[K^2] come out low"
            " and its error too small; leave these widths out, or use exact moments if the network"
            " has them"
        )


def _of_leverage(points: list[Point], fit: "Fit") -> Iterator[str]:
    leverages = zip(points, fit.leverages, strict=True)
    for point, share in leverages if len(points) > 2 else ():
        if share > LARGEST_LEVERAGE:
            yield f"widths {_names([point])} alone determine {share:.0%} of alpha"


def _of_law(points: list[Point], fit: "Fit") -> Iterator[str]:
    missed = {}
    for point, residual in zip(points, fit.residuals, strict=True):
        log = math.log(point.moment_ratio)
        noise = NOISE_STDERRS * point.moment_ratio_stderr / point.moment_ratio
        if abs(residual) > max(LARGEST_RESIDUAL * log, noise):
            missed[widths_text(point.widths)] = abs(residual) / log if log else math.inf
    if missed:
        worst = max(missed, key=lambda name: missed[name])
        yield (
            f"the law exp(alpha S) misses widths {worst} by {missed[worst]:.0%} of the logarithm:"
            " alpha depends on the ratios chosen; choose widths near those you will use, or search"
            ' with using = "curve"'
        )


def _log_error(point: Point) -> float:
    """Return the relative standard error of the logarithm of a point's moment ratio."""
    log = math.log(point.moment_ratio)
    return point.moment_ratio_stderr / point.moment_ratio / log if log else math.inf


def _names(points: list[Point]) -> str:
    return ", ".join(widths_text(point.widths) for point in points)

"""Alpha from the points, and what the reader should know of it."""

import math
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

from ceflow import variance
from ceflow.spec import Variance
from ceflow.stages.stage import Values
from ceflow.stages.summary import widths_text

if TYPE_CHECKING:
    from ceflow.variance import Fit

LAW_HOLDS = 0.1
"""The largest relative residual of log(E[K^2]/E[K]^2) at which the law is said to hold."""

NOISE = 3
"""Standard errors within which a residual is no sign against the law."""

HEAVY = 2.0
"""E[K^2]/E[K]^2 from which on draws say too little of the tail: K varies by its mean and more."""

LEVERAGE = 0.5
"""Share of alpha that one point may decide."""


def fitted(stage: Variance, method: str, points: list[Values]) -> Values:
    """The results of the stage; alpha is null where its points give none."""
    if not points:
        return _without_alpha(method, points, "no width has moments to fit it to")
    sums, ratios, stderrs = (
        [point[key] for point in points]
        for key in ("fan_in_sum", "moment_ratio", "moment_ratio_stderr")
    )
    fit = variance.fit_alpha(sums, ratios, None if method == "exact" else stderrs)
    if not fit.alpha > 0:
        why = (
            f"the fit gives {fit.alpha:.2g}, not above 0: K hardly varies at these widths; add"
            " smaller ratios, or draw more networks"
        )
        return _without_alpha(method, points, why)
    found = asdict(fit)
    columns = zip(points, found.pop("residuals"), found.pop("leverages"), strict=True)
    return {
        "alpha": found.pop("alpha"),
        "alpha_stderr": found.pop("stderr"),
        "method": method,
        **found,
        "points": [
            {**point, "residual": residual, "leverage": leverage}
            for point, residual, leverage in columns
        ],
        "warnings": [*_warnings(stage, points, fit)],
    }


def _without_alpha(method: str, points: list[Values], why: str) -> Values:
    nothing = ("alpha", "alpha_stderr", "interval", "intercept", "alpha_with_intercept")
    unfitted = {"residual": None, "leverage": None}
    return {
        **dict.fromkeys(nothing),
        "method": method,
        "points": [{**point, **unfitted} for point in points],
        "warnings": [f"alpha is undefined: {why}"],
    }


def _warnings(stage: Variance, points: list[Values], fit: "Fit") -> Iterator[str]:
    yield from _of_few_points(points)
    yield from _of_error(stage, points)
    yield from _of_tails(points)
    yield from _of_leverage(points, fit)
    yield from _of_law(points, fit)


def _of_few_points(points: list[Values]) -> Iterator[str]:
    if len(points) == 1:
        yield "alpha is of one point: nothing shows whether the law holds; measure more ratios"
    if len(points) == 2:
        yield (
            "alpha is of two points: its interval has one degree of freedom, and hardly shows"
            " whether the law holds; measure more ratios"
        )


def _of_error(stage: Variance, points: list[Values]) -> Iterator[str]:
    missed = [point for point in points if point["draws"] and stage.error]
    missed = [point for point in missed if _log_error(point) > stage.error]
    if missed:
        worst = max(map(_log_error, missed))
        yield (
            f"widths {_names(missed)}: an error of {worst:.2g} after {stage.most_draws:,} draws,"
            f" not {stage.error:g}; raise draws"
        )


def _of_tails(points: list[Values]) -> Iterator[str]:
    heavy = [point for point in points if point["draws"] and point["moment_ratio"] > HEAVY]
    if heavy:
        yield (
            f"widths {_names(heavy)}: K has a heavy tail there, so draws make E[K^2] come out low"
            " and its error too small; leave these widths out, or use exact moments if the network"
            " has them"
        )


def _of_leverage(points: list[Values], fit: "Fit") -> Iterator[str]:
    shares = zip(points, fit.leverages, strict=True)
    for point, share in shares if len(points) > 2 else ():
        if share > LEVERAGE:
            yield f"widths {_names([point])} alone decide {share:.0%} of alpha"


def _of_law(points: list[Values], fit: "Fit") -> Iterator[str]:
    missed = {}
    for point, residual in zip(points, fit.residuals, strict=True):
        log = math.log(point["moment_ratio"])
        noise = NOISE * point["moment_ratio_stderr"] / point["moment_ratio"]
        if abs(residual) > max(LAW_HOLDS * log, noise):
            missed[widths_text(point["widths"])] = abs(residual) / log if log else math.inf
    if missed:
        worst = max(missed, key=lambda name: missed[name])
        yield (
            f"the law exp(alpha S) misses widths {worst} by {missed[worst]:.0%} of the logarithm:"
            " alpha depends on the ratios chosen; choose widths near those you will use"
        )


def _log_error(point: Values) -> float:
    """The standard error of a point's logarithm, relative to it."""
    log = math.log(point["moment_ratio"])
    return point["moment_ratio_stderr"] / point["moment_ratio"] / log if log else math.inf


def _names(points: list[Values]) -> str:
    return ", ".join(widths_text(point["widths"]) for point in points)

"""The report of a `variance` stage: alpha, the points, and CE figure 8."""

import math
from collections.abc import Sequence

from ceflow.blocks import AXES, Curve, Note, ReportBlock, Series, Table, widths_text
from ceflow.stages.variance.result import Point, VarianceResult

SUM = "S = Σ 1/fan-in"


def describe(result: VarianceResult) -> list[ReportBlock]:
    """Describe alpha, the points it was fitted to, and how well the law holds."""
    points, alpha = result.points, result.alpha
    text = "alpha is undefined" if alpha is None else f"alpha = {alpha:.4f}"
    if result.interval:
        low, high = result.interval
        text += f" ± {result.alpha_stderr:.2g} (95 % interval {low:.3f} to {high:.3f})"
    text += f", method {result.method}{_draws(points)}"
    if result.intercept is not None:
        text += f"; an intercept would make it {result.alpha_with_intercept:.4f}"
    rows = tuple(
        (
            widths_text(point.widths),
            point.fan_in_sum,
            point.mean,
            f"{point.moment_ratio:.5f}" + _error(point.moment_ratio_stderr),
            "" if point.residual is None else f"{point.residual:+.2g}",
        )
        for point in points
    )
    columns = ("widths", SUM, "E[K]", "E[K²]/E[K]²", "residual of log")
    return [
        Note(text),
        Table(columns, rows),
        *(Note(warning, warning=True) for warning in result.warnings),
        *([_figure(result, alpha)] if alpha is not None else []),
    ]


def _draws(points: Sequence[Point]) -> str:
    """Say how many networks were drawn at each width."""
    least, most = (found((p.draws for p in points), default=0) for found in (min, max))
    if not most:
        return ""
    return f", {most:,} draws" if least == most else f", {least:,} to {most:,} draws"


def _error(stderr: float) -> str:
    return f" ± {stderr:.2g}" if stderr else ""


def _figure(result: VarianceResult, alpha: float) -> Curve:
    sums = tuple(point.fan_in_sum for point in result.points)
    measured = tuple(math.log(point.moment_ratio) for point in result.points)
    law = tuple(alpha * s for s in sums)
    return Curve(
        "law",
        "the law of the NTK's variance",
        AXES["fan_in_sum"],
        AXES["log_moment_ratio"],
        (Series("alpha S", sums, law), Series("measured", sums, measured, "points")),
        log_x=True,
        log_y=True,
    )


def answer(result: VarianceResult) -> str:
    """State the law that was fitted."""
    if result.alpha is None:
        return ""
    error = "" if result.alpha_stderr is None else f" ± {result.alpha_stderr:.2g}"
    return (
        f"E[K²]/E[K]² = exp(alpha S) with alpha = {result.alpha:.4g}{error}: S is the sum of"
        " 1/fan-in over the hidden layers, K an entry of the NTK"
    )

"""The `variance` stage: moments of an NTK entry over widths, and alpha (CE Algorithm 1)."""

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

from ceflow import variance
from ceflow.compiler import Plan, fan_in_sum, member_with, ratio_widths
from ceflow.seeding import Seed
from ceflow.spec import Mlp, Model, Variance
from ceflow.stages.stage import Forecast, Job, Kind, Outcome, Values, Work, number_size, precision
from ceflow.stages.summary import Block, Curve, Note, Series, Table, widths_text

if TYPE_CHECKING:
    import numpy as np

LOADING = 0.3
"""Seconds to load NumPy and SciPy."""

LAW_HOLDS = 0.1
"""The largest relative residual of log(E[K^2]/E[K]^2) at which the law is said to hold."""


def method_of(stage: Variance, model: Model) -> str:
    """The method that `auto` stands for."""
    if stage.method != "auto":
        return stage.method
    return "exact" if stage.has_closed_form(model) else "monte-carlo"


def forecast(stage: Variance, plan: Plan, model: Model) -> Forecast:
    method, members = method_of(stage, model), [member for _, member in _members(stage, model)]
    layers = len(members[0].widths)
    if method == "exact":
        return Forecast(work=Work(seconds=LOADING))
    if method == "sample":
        drawn = stage.draws * layers * len(members)
        return Forecast(100 * stage.draws, key="draws", work=Work(seconds=LOADING + drawn / 5e6))
    parameters = [plan.expand(member).parameters for member in members]
    chunk = max(count * variance.chunk_size(count, stage.draws) for count in parameters)
    work = Work(
        flops=stage.draws * 6 * sum(parameters),
        traffic=stage.draws * 4 * number_size(plan) * sum(parameters),
        normals=stage.draws * sum(parameters),
        compilations=len(members) * (2 + layers / 2),
        seconds=LOADING,
    )
    return Forecast(3 * number_size(plan) * chunk, key="model.widths", work=work)


def run(job: Job) -> Outcome:
    method = method_of(job.stage, job.model)
    members = _members(job.stage, job.model)
    points: list[Values] = []
    for index, (ratio, member) in enumerate(members, 1):
        points.append(
            {"ratio": ratio, "widths": list(member.widths), "fan_in_sum": fan_in_sum(member)}
        )
        points[-1] |= _measure(job, method, member)
        job.progress(index, len(members))
    return Outcome(_fitted(method, points))


def _members(stage: Variance, model: Model) -> list[tuple[float, Mlp]]:
    """The networks to measure, by ratio; ratios that round to the same widths count once."""
    ratios: dict[tuple[int, ...], float] = {}
    for ratio in sorted(stage.ratios):
        ratios.setdefault(ratio_widths(model, ratio), ratio)
    return [(ratio, member_with(model, widths)) for widths, ratio in ratios.items()]


def _measure(job: Job, method: str, member: Mlp) -> Values:
    """E[K] and the moment ratio of one network, with its standard error where K is drawn."""
    if method == "exact":
        moments = variance.exact_moments(member)
        return {"mean": moments.mean, "moment_ratio": moments.ratio, "moment_ratio_stderr": 0.0}
    seed = job.seed.fold(" ".join(map(str, member.widths)))  # whatever other widths there are
    if method == "sample":
        draws = variance.sample_ntk(member, job.stage.draws, seed.numpy())
    else:
        draws = _draw_weights(job, member, seed)
    try:
        found = variance.estimate_moments(draws)
    except ValueError as error:
        raise ValueError(f"widths {widths_text(member.widths)}: {error}") from None
    return {
        "mean": found.mean,
        "moment_ratio": found.ratio,
        "moment_ratio_stderr": found.ratio_stderr,
    }


def _draw_weights(job: Job, member: Mlp, seed: Seed) -> "np.ndarray":
    import numpy as np

    diagonal = job.stage.entries == "diagonal"
    inputs = job.plan.inputs
    with precision(job.plan):
        chunks = variance.draw_ntk(member, inputs, job.stage.draws, seed, diagonal=diagonal)
        return np.concatenate(list(chunks))


def _fitted(method: str, points: list[Values]) -> Values:
    sums, ratios, stderrs = (
        [point[key] for point in points]
        for key in ("fan_in_sum", "moment_ratio", "moment_ratio_stderr")
    )
    fit = variance.fit_alpha(sums, ratios, None if method == "exact" else stderrs)
    residuals = fit.residuals
    worst = max(abs(r) / abs(math.log(y)) for r, y in zip(residuals, ratios, strict=True))
    warnings = []
    if worst > LAW_HOLDS:
        warnings.append(
            f"the law exp(alpha S) misses a point by {worst:.0%} of its logarithm: alpha depends"
            " on the ratios chosen; choose widths near those you will use"
        )
    rest = {
        key: value
        for key, value in asdict(fit).items()
        if key not in ("alpha", "stderr", "residuals")
    }
    return {
        "alpha": fit.alpha,
        "alpha_stderr": fit.stderr,
        "method": method,
        **rest,
        "points": [
            {**point, "residual": residual}
            for point, residual in zip(points, residuals, strict=True)
        ],
        "warnings": warnings,
    }


def describe(values: Values) -> list[Block]:
    points = values["points"]
    text = f"alpha = {values['alpha']:.4f}"
    if values["interval"]:
        low, high = values["interval"]
        text += f" ± {values['alpha_stderr']:.2g} (95 % interval {low:.3f} to {high:.3f})"
    text += f", method {values['method']}"
    if values["intercept"] is not None:
        text += f"; an intercept would make it {values['alpha_with_intercept']:.4f}"
    rows = tuple(
        (
            widths_text(point["widths"]),
            point["fan_in_sum"],
            point["mean"],
            f"{point['moment_ratio']:.5f}" + _error(point["moment_ratio_stderr"]),
            f"{point['residual']:+.2g}",
        )
        for point in points
    )
    columns = ("widths", "S = Σ 1/n", "E[K]", "E[K²]/E[K]²", "residual of log")
    return [
        Note(text),
        Table(columns, rows),
        *(Note(warning, warning=True) for warning in values["warnings"]),
        _figure(values),
    ]


def _error(stderr: float) -> str:
    return f" ± {stderr:.2g}" if stderr else ""


def _figure(values: Values) -> Curve:
    sums = tuple(point["fan_in_sum"] for point in values["points"])
    measured = tuple(math.log(point["moment_ratio"]) for point in values["points"])
    law = tuple(values["alpha"] * s for s in sums)
    return Curve(
        "law",
        "the law of the NTK's variance",
        "S = Σ 1/n",
        "log E[K²]/E[K]²",
        (Series("alpha S", sums, law), Series("measured", sums, measured, "points")),
        log_x=True,
        log_y=True,
    )


KIND = Kind(forecast, run, describe)

"""The moments of K at each width: choice of networks, inputs and method, and the measurement."""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ceflow import variance
from ceflow.blocks import widths_text
from ceflow.seeding import Seed
from ceflow.spec import Member, Model, Variance
from ceflow.stages.stage import Job, precision
from ceflow.stages.variance.result import Point

if TYPE_CHECKING:
    import numpy as np


def method_of(stage: Variance, model: Model) -> str:
    """Return the method, which `auto` chooses."""
    if stage.method != "auto":
        return stage.method
    return "monte-carlo" if stage.why_drawn(model) else "exact"


def members_of(stage: Variance, model: Model) -> list[tuple[float, Member]]:
    """List the networks to measure with their ratios; ratios that round to the same widths count
    once.
    """
    ratios: dict[tuple[int, ...], float] = {}
    for ratio in sorted(stage.ratios_of(model)):
        ratios.setdefault(model.ratio_widths(ratio), ratio)
    return [(ratio, model.member.with_widths(widths).entry) for widths, ratio in ratios.items()]


def inputs_of(job: Job) -> "np.ndarray":
    """Return the inputs x and x', the same for every width."""
    size = job.model.member.entry.inputs
    assert size is not None, "a plan knows the inputs"
    shape = size if isinstance(size, tuple) else (size,)
    law = job.stage.inputs_law_of(job.model)
    if law == "data":
        return _examples(job).reshape(-1, *shape)
    return variance.draw_inputs(shape, law, job.seed.fold("inputs").numpy())


def _examples(job: Job) -> "np.ndarray":
    x = job.dataset().train.x[:2]
    if len(x) < 2 and job.stage.entries == "off-diagonal":
        raise ValueError("an off-diagonal entry needs two training examples; the data have one")
    return x


def measure(job: Job, method: str, ratio: float, member: Member, x: "np.ndarray") -> Point:
    """Measure E[K] and the moment ratio of one network, with its standard error if K is drawn.

    Raises `ValueError` if they are undefined.
    """
    try:
        mean, moment_ratio, stderr, draws = _moments(job, method, member, x)
        if not all(map(math.isfinite, (mean, moment_ratio))):
            raise ValueError("the moments of K overflow float64")
    except ValueError as error:
        raise ValueError(f"widths {widths_text(member.widths)}: {error}") from None
    return Point(
        ratio=ratio,
        widths=list(map(int, member.widths)),
        fan_in_sum=member.fan_in_sum,
        mean=mean,
        moment_ratio=moment_ratio,
        moment_ratio_stderr=stderr,
        draws=draws,
    )


def _moments(
    job: Job, method: str, member: Member, x: "np.ndarray"
) -> tuple[float, float, float, int]:
    """Return the mean, the moment ratio, its standard error, and the number of draws."""
    if method == "exact":
        moments = variance.exact_moments(member, x[0])
        return moments.mean, moments.ratio, 0.0, 0
    seed = job.seed.fold(" ".join(map(str, member.widths)))  # whatever other widths there are
    chunks = _sampled if method == "sample" else _drawn
    estimate = variance.estimate_moments(chunks(job, member, seed, x), error=job.stage.error)
    return estimate.mean, estimate.ratio, estimate.ratio_stderr, estimate.draws


def _sampled(job: Job, member: Member, seed: Seed, x: "np.ndarray") -> "Iterator[np.ndarray]":
    return variance.sample_chunks(member, job.stage.most_draws, seed, x[0])


def _drawn(job: Job, member: Member, seed: Seed, x: "np.ndarray") -> "Iterator[np.ndarray]":
    second = x[1] if job.stage.entries == "off-diagonal" else None
    with precision(job.plan):
        yield from variance.draw_ntk(member, x[0], second, draws=job.stage.most_draws, seed=seed)

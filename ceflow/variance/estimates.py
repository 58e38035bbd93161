"""Moments of K estimated from draws, with standard errors."""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

FIRST_TEST = 1000
"""Number of draws before a standard error may end the drawing."""


class Estimate(NamedTuple):
    """Estimates of E[K] and `E[K^2]/E[K]^2` from `draws` draws."""

    mean: float
    ratio: float
    ratio_stderr: float
    draws: int

    @property
    def error(self) -> float:
        """Relative standard error of `log(E[K^2]/E[K]^2)`."""
        log = math.log(self.ratio)
        return self.ratio_stderr / self.ratio / log if log > 0 else math.inf


def estimate_moments(
    draws: Float[np.ndarray, " draws"] | Iterable[Float[np.ndarray, " chunk"]],
    *,
    error: float | None = None,
) -> Estimate:
    """Estimate the mean of K, and `E[K^2]/E[K]^2` with a standard error by the delta method.

    `draws` is an array or an iterable of chunks. Chunks are summed, not stored, so memory does not
    grow; their sizes and order matter only to rounding. With `error`, drawing ends when the
    relative standard error of the ratio's logarithm is at most `error`. This is tested after the
    chunk that completes 1,000 draws, and then whenever the number has doubled: a test after every
    chunk would favour draws with a small error by chance.

    At small widths K has a heavy tail; then the ratio and its error are typically too small, as for
    any estimate from draws. Raises `ValueError` for fewer than three draws, an error that is not
    above 0, or if K is 0 in all draws: then every network drawn was dead.

    >>> estimate_moments(np.random.default_rng(0).standard_normal(100_000) + 3).ratio   # 1 + 1/9
    1.111...
    """
    if error is not None and not error > 0:
        raise ValueError(f"error must be above 0, not {error}")
    sums, look = PowerSums(), FIRST_TEST
    for chunk in [draws] if isinstance(draws, np.ndarray) else draws:
        sums.add(chunk)
        if error is not None and sums.count >= look:
            look = 2 * sums.count
            if sums.alive and sums.estimate().error <= error:
                break
    return sums.estimate()


class PowerSums:
    """Running sums of the first four powers of draws.

    The mean of the first draws is subtracted to avoid cancellation, and draws are divided by a
    power of two near the largest of these to avoid over- and underflow.
    """

    def __init__(self) -> None:
        self.count = 0
        self.unit = 0.0
        self.shift = 0.0
        self.sums = np.zeros(4)

    def add(self, draws: Float[np.ndarray, " chunk"]) -> None:
        """Add draws, in float64. Raises `ValueError` if one is not finite."""
        draws = np.asarray(draws, float)
        if draws.ndim != 1:
            raise ValueError(f"draws of K must be a row of numbers, not of shape {draws.shape}")
        if not np.isfinite(draws).all():
            raise ValueError("K is not finite in some draws: its inputs or variances are too large")
        if not self.unit and draws.any():
            self.unit = math.ldexp(0.5, math.frexp(float(np.abs(draws).max()))[1])
            # zeros before these are in the sums only without a shift
            self.shift = 0.0 if self.count else float((draws / self.unit).mean())
        self.count += len(draws)
        if self.unit:
            less = draws / self.unit - self.shift
            self.sums += [(less**power).sum() for power in (1, 2, 3, 4)]

    @property
    def alive(self) -> bool:
        """Whether any draw is not 0."""
        return self.unit > 0

    def estimate(self) -> Estimate:
        """Estimate the moments from the sums.

        With m the mean and c_j the central moments, the ratio is `1 + c_2/m^2`. The influence of a
        draw at distance d from m on it is `d^2/m^2 - 2 c_2 d/m^3`.
        """
        if self.count < 3:
            raise ValueError(f"a standard error needs at least 3 draws, not {self.count}")
        if not self.alive:
            raise ValueError(
                "K is 0 in every draw: all networks were dead; use wider layers or larger variances"
            )
        mean, (c2, c3, c4) = self._central()
        if not (math.isfinite(c4) and mean**2 > 0):
            raise ValueError(
                "the moments of K cannot be estimated from its draws: they differ too much"
            )
        influence = (
            (c4 - c2**2) - 4 * c2 * c3 / mean + 4 * c2**3 / mean**2
        )  # its variance, times m^4
        stderr = math.sqrt(max(influence, 0.0) / (self.count - 1)) / mean**2
        return Estimate(self.unit * mean, 1 + c2 / mean**2, stderr, self.count)

    def _central(self) -> tuple[float, tuple[float, float, float]]:
        first, second, third, fourth = (self.sums / self.count).tolist()
        return self.shift + first, (
            second - first**2,
            third - 3 * first * second + 2 * first**3,
            fourth - 4 * first * third + 6 * first**2 * second - 3 * first**4,
        )

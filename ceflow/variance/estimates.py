"""Moments of K from draws, with their standard errors."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

BLOCKS = 50
"""Blocks of the jackknife: enough for its own error to be 10 %."""


class Estimate(NamedTuple):
    """E[K] and `E[K^2]/E[K]^2` from draws."""

    mean: float
    ratio: float
    ratio_stderr: float


def estimate_moments(draws: Float[np.ndarray, " draws"]) -> Estimate:
    """The mean of K and the ratio `E[K^2]/E[K]^2`, its standard error by a blocked jackknife.

    K has a heavy tail at small widths: there the ratio comes out low and its error too small, as
    with any estimate from draws. Raises `ValueError` for fewer than three draws, and where K is 0
    in all of them: every network drawn was dead.

    >>> estimate_moments(np.random.default_rng(0).standard_normal(100_000) + 3).ratio   # 1 + 1/9
    1.111...
    """
    blocks = min(BLOCKS, len(draws))
    if blocks < 3:
        raise ValueError(f"a standard error needs at least 3 draws, not {len(draws)}")
    if not draws.any():
        raise ValueError("K is 0 in every draw: all networks were dead; use wider layers")
    used = draws[: len(draws) // blocks * blocks].reshape(blocks, -1)
    first, second = used.mean(axis=1), (used**2).mean(axis=1)
    without = [(moment.sum() - moment) / (blocks - 1) for moment in (first, second)]
    ratios = without[1] / without[0] ** 2
    stderr = np.sqrt((blocks - 1) * np.mean((ratios - ratios.mean()) ** 2))
    ratio = np.mean(draws**2) / np.mean(draws) ** 2
    return Estimate(float(draws.mean()), float(ratio), float(stderr))

"""Exact moments and the sampler that draws no weights."""

import numpy as np

from benchmarks.timing import median
from ceflow.spec import Mlp
from ceflow.variance import exact_moments, sample_ntk


def main() -> None:
    """Print the time of the closed form, and draws a second (NumPy draws on one core)."""
    model = Mlp(widths=(500,) * 5)
    print(f"  exact moments, 5x500: {1e3 * median(lambda: exact_moments(model)):.3f} ms")
    draws, random = 200_000, np.random.default_rng(0)
    for width in (20, 500, 100_000):
        model = Mlp(widths=(width,) * 5)
        took = median(lambda model=model: sample_ntk(model, draws, random))
        print(f"  sampler, 5x{width}: {draws / took:,.0f} draws a second")

"""The costs of drawing an NTK entry, without weights and with them. Loads no JAX."""

import math
from collections.abc import Callable

from ceflow.costs import Demand, Work
from ceflow.spec import Member

TYPICAL_ALPHA = 3.4
"""Stands in for a fitted alpha in forecasts: an optimum's costs hardly depend on it."""

SAMPLING: dict[str, Callable[[Member], float]] = {
    "block": lambda block: 18 / 7e7 * block.widths[0],
    "mlp": lambda mlp: len(mlp.widths) / 4e6,
}
"""Seconds of a draw without weights."""

SAMPLED = 2e7
"""Bytes that draws without weights take at once."""


CHUNK_NUMBERS = 2**24
"""Weights that are drawn at once, over all networks of a chunk."""


def chunk_size(parameters: float, draws: int) -> int:
    """Count the networks in a chunk, which the network and the number of draws fix.

    >>> chunk_size(1_379_000, 2000)
    12
    """
    return max(1, min(draws, int(CHUNK_NUMBERS // parameters), 1024))


def likely_draws(member: Member, error: float) -> float:
    """Guess how many draws bring the second moment of K to a relative error.

    They are as many as a lognormal K asks for, nearly: E[K^4]/(E[K^2]^2 error^2).
    """
    fourth = math.exp(min(4 * TYPICAL_ALPHA * member.fan_in_sum, 50))
    asked = math.log(2 * fourth) - 2 * math.log(error)  # as a logarithm: an error may be tiny
    return max(1000, math.exp(min(asked, 50)))


def sampling(member: Member, draws: float) -> Demand:
    """Count draws by `sample_ntk`."""
    return Demand(SAMPLED, Work(seconds=draws * SAMPLING[member.type](member)))


def drawing(parameters: float, layers: int, draws: float, *, most: int, itemsize: int) -> Demand:
    """Count draws by `draw_ntk` of networks of so many parameters, `most` at the most."""
    weights = draws * parameters
    work = Work(
        flops=6 * weights,
        traffic=4 * itemsize * weights,
        normals=weights,
        compilations=2 + layers / 2,
    )
    return Demand(3 * itemsize * parameters * chunk_size(parameters, most), work)

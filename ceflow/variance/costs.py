"""Costs of drawing an NTK entry, with and without weights. Loads no JAX."""

import math
from collections.abc import Callable

from ceflow.compiler import nodes
from ceflow.costs import Demand, Work
from ceflow.spec import Member

TYPICAL_ALPHA = 3.4
"""Alpha that forecasts assume before one is fitted; the costs of an optimum hardly depend on it."""

SECONDS_PER_DRAW: dict[str, Callable[[Member], float]] = {
    "block": lambda block: 18 / 7e7 * block.widths[0],
    "mlp": lambda mlp: len(mlp.widths) / 4e6,
}
"""Seconds per draw without weights, by the kind of member."""

SAMPLING_BYTES = 2e7
"""Bytes of memory for draws without weights."""


CHUNK_NUMBERS = 2**24
"""Number of weights drawn at once, and of values between layers, over all networks of a chunk."""


def chunk_size(parameters: float, draws: int, passing: float = 0) -> int:
    """Return the number of networks in a chunk, given their parameters, the number of draws, and
    the values that pass between its layers.

    >>> chunk_size(1_379_000, 2000), chunk_size(1000, 2000, passing=500_000)
    (12, 33)
    """
    return max(1, min(draws, int(CHUNK_NUMBERS // max(parameters, passing)), 1024))


def likely_draws(member: Member, error: float) -> float:
    """Estimate the number of draws after which log(E[K^2]/E[K]^2) has the relative standard error
    `error`.

    For a lognormal K it is about 2 E[K^4]/(E[K^2]^2 error^2).
    """
    fourth = math.exp(min(4 * TYPICAL_ALPHA * member.fan_in_sum, 50))
    asked = math.log(2 * fourth) - 2 * math.log(error)  # as a logarithm: an error may be tiny
    return max(1000, math.exp(min(asked, 50)))


def sampling(member: Member, draws: float) -> Demand:
    """Forecast the cost of draws by `sample_ntk`."""
    return Demand(SAMPLING_BYTES, Work(seconds=draws * SECONDS_PER_DRAW[member.type](member)))


MODULE_COMPILATIONS = 6.0
"""Compilations of a module of the user's, besides one for each of its products and two for each of
its convolutions: it is made by operations that are not known here."""


def drawing(root: nodes.Node, layers: int, draws: float, *, most: int, itemsize: int) -> Demand:
    """Forecast the cost of `draws` draws by `draw_ntk`, which may be up to `most`."""
    parameters, passing = root.parameters, nodes.values(root)
    compilations = 2 + layers / 2
    if isinstance(root, nodes.External):
        each = (layer for _, layer in nodes.leaves(root))
        compilations = MODULE_COMPILATIONS
        compilations += sum(1 + isinstance(product, nodes.Convolution) for product in each)
    weights = draws * parameters
    work = Work(
        flops=draws * max(6 * parameters, 3 * root.flops),
        traffic=4 * itemsize * (weights + draws * passing),
        normals=weights,
        compilations=compilations,
    )
    held = 3 * itemsize * (parameters + passing)
    return Demand(held * chunk_size(parameters, most, passing), work)

"""How many networks Monte Carlo draws at once. Plain Python: a plan asks without loading JAX."""

CHUNK_NUMBERS = 2**24
"""Weights that are drawn at once, over all networks of a chunk."""


def chunk_size(parameters: float, draws: int) -> int:
    """Count the networks in a chunk, which the network and the number of draws fix.

    >>> chunk_size(1_379_000, 2000)
    12
    """
    return max(1, min(draws, int(CHUNK_NUMBERS // parameters), 1024))

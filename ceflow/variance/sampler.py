"""Exact draws of an NTK entry without drawing all weights."""

from collections.abc import Iterator
from functools import singledispatch
from typing import Any

import numpy as np
from jaxtyping import Float

from ceflow._numbers import require_generator
from ceflow.seeding import Seed
from ceflow.spec import Block, Member, Mlp
from ceflow.variance.block_sampler import active_units, draw_block
from ceflow.variance.exact import layer_scales, require_closed_form
from ceflow.variance.inputs import mean_square, patch_positions

CHUNK_DRAWS = 1000
"""Number of draws in a chunk; each chunk has its own random stream."""


def sample_chunks(
    model: Member, draws: int, seed: Seed, x: Float[np.ndarray, "..."] | None = None
) -> Iterator[Float[np.ndarray, " chunk"]]:
    """Draw as `sample_ntk` does, in chunks of 1,000 that depend only on `seed` and their index.

    >>> from ceflow.spec import Block
    >>> [len(chunk) for chunk in sample_chunks(Block(widths=[4, 4]), 2500, Seed(0))]
    [1000, 1000, 500]
    """
    for index in range(-(-draws // CHUNK_DRAWS)):
        chunk = sample_ntk(model, CHUNK_DRAWS, seed.fold(index).numpy(), x)
        yield chunk[: draws - index * CHUNK_DRAWS]


def sample_ntk(
    model: Member,
    draws: int,
    random: np.random.Generator,
    x: Float[np.ndarray, "..."] | None = None,
) -> Float[np.ndarray, " draws"]:
    """Draw independent `K^aa(x, x)` of a ReLU or linear MLP or block; x as in `exact_moments`.

    For an MLP, the k, X, Y and xi of `exact_moments` are drawn: the distribution of K is exact, and
    a draw takes three random numbers per layer. For a block, see `draw_block`: a draw takes 18
    random numbers per channel. Raises `ValueError` like `exact_moments`, or if `random` is not a
    NumPy generator.

    >>> from ceflow.spec import Block, Mlp
    >>> k = sample_ntk(Mlp(widths=[500] * 5), 1_000_000, np.random.default_rng(0))
    >>> round(float(k.mean()), 2)   # E[K] = H + 1
    6.0
    >>> k = sample_ntk(Block(widths=[128, 128]), 2000, np.random.default_rng(0))
    >>> abs(float(k.mean()) - 3) < 0.06   # 5 standard errors of 0.012
    True
    """
    require_closed_form(model)
    require_generator(random)
    return _drawn(model, draws, random, x)


@singledispatch
def _drawn(model: Member, draws: int, random: np.random.Generator, x: Any) -> Any:
    """Draw K, by the kind of member."""
    raise TypeError(f"no sampler is registered for the model {type(model).__name__}")


@_drawn.register
def _(model: Block, draws: int, random: np.random.Generator, x: Any) -> Any:
    return draw_block(model, patch_positions(model, x), draws, random)


@_drawn.register
def _(model: Mlp, draws: int, random: np.random.Generator, x: Any) -> Any:
    return mean_square(model, x) * _draw_mlp(model, draws, random)


def _draw_mlp(model: Mlp, draws: int, random: np.random.Generator) -> Float[np.ndarray, " draws"]:
    scales = layer_scales(model)
    output = scales[-1] * random.standard_normal(draws) ** 2
    term = np.full(draws, scales[-1])
    total = term
    for width, scale in zip(reversed(model.widths), reversed(scales[:-1]), strict=True):
        active = active_units(model, int(width), draws, random)
        x = 2 * random.standard_gamma(active / 2)
        y = 2 * random.standard_gamma(np.maximum(active - 1, 0) / 2)
        term = scale * ((active > 0) * output + y * term)
        total = term + scale * x * total
        output = scale * x * output
    return total

"""Exact draws of the NTK of a block's residual path, without its 9 n n' weights."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from jaxtyping import Float

from ceflow.spec import Block, Member

PIECE_NUMBERS = 2**17
"""Normal numbers in an array that is drawn at once: 1 MB, which fits into a CPU cache."""

THREADS = 4
"""Number of threads. Each piece has its own random stream, so results do not depend on this."""


def draw_block(
    model: Block,
    positions: Float[np.ndarray, "rows 9"],
    draws: int,
    random: np.random.Generator,
) -> Float[np.ndarray, " draws"]:
    """Draw K of one group, one output position and one output (spec/semantics.md).

    The inputs x are the columns of `positions`, G is their Gram matrix, and n and n' are the
    widths. The pre-activations z (n, 9) of the first layer have rows distributed as
    N(0, c G/channels). The forward pass depends on the 3x3 weights only through their product with
    h = phi(z). The backward pass gives a multiple of h plus a normal vector orthogonal to h, both
    scaled. So a draw takes 18 n random numbers instead of n (channels + 9 n') + n'. A dead layer
    gives K = 0. Memory holds some 20 MB, or one draw per thread if that is more.
    """
    piece = max(1, PIECE_NUMBERS // (9 * int(model.widths[0])))
    sizes = [min(piece, draws - start) for start in range(0, draws, piece)]
    draw = partial(_draw, model, positions)
    with ThreadPoolExecutor(THREADS) as pool:  # NumPy releases the interpreter lock while drawing
        return np.concatenate(list(pool.map(draw, sizes, random.spawn(len(sizes)))))


def _draw(
    model: Block, positions: np.ndarray, draws: int, random: np.random.Generator
) -> np.ndarray:
    (n, last), c = model.widths, model.weight_variance
    share = c / model.channels
    # products of a draw each: BLAS loses more to its threads than it gains on one of all draws
    z = random.standard_normal((draws, n, len(positions))) @ (np.sqrt(share) * positions)
    z = z.reshape(draws, 9 * n)
    back = random.standard_normal((draws, 9 * n))  # the backward signal at z, unscaled
    if model.activation == "relu":
        mask = z > 0
        z *= mask
        back *= mask
    squares = np.einsum("di,di->d", z, z)
    forward, along, across = _last_layers(model, last, squares > 0, random)
    length = np.where(squares > 0, squares, 1.0)
    along = np.sqrt(forward / length) * along  # the part of `back` along h is set by the output
    along -= np.sqrt(across) * np.einsum("di,di->d", z, back) / length
    back *= np.sqrt(across)[:, None]
    back += along[:, None] * z
    first = back.reshape(draws, n, 9) @ positions.T
    first = np.einsum("dip,dip->d", first, first)
    scale = c * model.last_variance / (9 * n * last)
    return scale * (squares * (forward + across) + share * first)


def _last_layers(
    model: Block, units: int, alive: np.ndarray, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw |h'|^2, the output over |h'|, and |w'|^2.

    w' are the last layer's weights of active units.
    """
    active = active_units(model, units, len(alive), random) * alive
    forward = 2 * random.standard_gamma(active / 2)
    along = random.standard_normal(len(alive)) * (active > 0)
    rest = 2 * random.standard_gamma(np.maximum(active - 1, 0) / 2)
    return forward, along, along**2 + rest


def active_units(
    model: Member, width: int, draws: int, random: np.random.Generator
) -> Float[np.ndarray, " draws"]:
    """Draw the number of active units of a layer: Binomial(width, 1/2), or all if it is linear."""
    if model.activation == "linear":
        return np.full(draws, float(width))
    return random.binomial(width, 0.5, draws).astype(float)

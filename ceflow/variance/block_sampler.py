"""Exact draws of the NTK of a block's residual path, without its 9 n n' weights."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from jaxtyping import Float

from ceflow.spec import Block, Member

PIECE = 2**17
"""Normal numbers drawn at once: of every array 1 MB, near enough to stay in a cache."""

THREADS = 4
"""Pieces drawn at the same time, each from a stream of its own, so their number changes nothing."""


def draw_block(
    model: Block,
    positions: Float[np.ndarray, "rows 9"],
    draws: int,
    random: np.random.Generator,
) -> Float[np.ndarray, " draws"]:
    """Draw K of one group, one output position and one output (spec/semantics.md).

    The columns of `positions` are x, G their Gram matrix, n and n' the widths. The values z (n, 9)
    of the first layer are rows of N(0, c G/channels). Of the 3x3 layer's weights only their product
    with h = phi(z) is seen going forward; what comes back through them is h times a number, plus a
    normal vector orthogonal to h, all scaled. So a draw costs 18 n numbers in place of
    n (channels + 9 n') + n'. A dead layer gives K = 0. Memory is some 20 MB, or what one draw takes
    for each thread where that is more.
    """
    piece = max(1, PIECE // (9 * int(model.widths[0])))
    sizes = [min(piece, draws - start) for start in range(0, draws, piece)]
    draw = partial(_draw, model, positions)
    with ThreadPoolExecutor(THREADS) as pool:  # NumPy lets go of the interpreter as it draws
        return np.concatenate(list(pool.map(draw, sizes, random.spawn(len(sizes)))))


def _draw(
    model: Block, positions: np.ndarray, draws: int, random: np.random.Generator
) -> np.ndarray:
    (n, last), c = model.widths, model.weight_variance
    share = c / model.channels
    # products of a draw each: BLAS loses more to its threads than it gains on one of all draws
    z = random.standard_normal((draws, n, len(positions))) @ (np.sqrt(share) * positions)
    z = z.reshape(draws, 9 * n)
    back = random.standard_normal((draws, 9 * n))  # what comes back to z, but for its scale
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

    w' are the last weights that an active unit has."""
    active = active_units(model, units, len(alive), random) * alive
    forward = 2 * random.standard_gamma(active / 2)
    along = random.standard_normal(len(alive)) * (active > 0)
    rest = 2 * random.standard_gamma(np.maximum(active - 1, 0) / 2)
    return forward, along, along**2 + rest


def active_units(
    model: Member, width: int, draws: int, random: np.random.Generator
) -> Float[np.ndarray, " draws"]:
    """Draw how many units of a layer are active: about half of them, or all of a linear one."""
    if model.activation == "linear":
        return np.full(draws, float(width))
    return random.binomial(width, 0.5, draws).astype(float)

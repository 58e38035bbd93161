"""The first two moments of the NTK of a block's residual path, in closed form."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ceflow.spec import Block

Matrix = Float[np.ndarray, "9 9"]


class UnitMoments(NamedTuple):
    """Expectations over a unit's Gaussian values z at two positions p and q of a patch.

    h = phi(z) and mask = phi'(z). Rows of the matrices are p, columns are q.
    """

    masks: Matrix
    """E[mask_p mask_q]"""
    values: Matrix
    """E[h_p h_q]"""
    squares: Matrix
    """E[h_p^2 h_q^2]"""
    squares_mask: Matrix
    """E[h_p^2 mask_q]"""


def block_moments(model: Block, positions: Float[np.ndarray, "rows 9"]) -> tuple[float, float]:
    """Compute E[K] and E[K^2] for one group, output position and output of a block.

    The derivation is in spec/semantics.md. The inputs x are the columns of `positions`, and G is
    their Gram matrix. The 1x1 convolution has n output units, and the 3x3 convolution n'. Let h
    (n, 9) be the activations of the n units, s = |h|^2, and A the sum over these units of
    mask G mask. In the backward pass, the 3x3 weights of the k ~ Binomial(n', 1/2) active units are
    summed with the last layer's weights: the sum is `sqrt(R) g`, with R ~ chi2(k) and g standard
    normal, independent of h. So

        K = (c v / (9 n n')) (s X + s R + (c/channels) R g'A g),   X ~ chi2(k) given h,

    where only X and g are dependent: E[X R g'A g] = k^2 tr A + 2 k h'A h/s. The remaining terms are
    means over pairs of positions of one unit's values: functions of the angle between them.
    """
    (n, last), c = model.widths, model.weight_variance
    share = c / model.channels  # of the first layer: c/fan-in
    gram = positions.T @ positions
    if model.activation == "relu":
        pairs = _relu_pairs(share * np.diag(gram), _angles(positions))
    else:
        pairs = _linear_pairs(share * gram)
    lengths, half = np.diag(gram), float(pairs.masks[0, 0])
    s, trace = half * share * lengths.sum(), half * lengths.sum()  # of one unit

    def product(first: float, second: float, of_pairs: Matrix) -> float:
        """Compute the mean product of two sums over units, from the means over one unit."""
        return n * (n - 1) * first * second + n * float(of_pairs.sum())

    ss = product(s, s, pairs.squares)
    s_trace = product(s, trace, pairs.squares_mask * lengths)
    traces = product(trace, trace, pairs.masks * np.outer(lengths, lengths))
    form = n * float((pairs.values * gram).sum())  # E[h'A h]
    squared = n * float((pairs.masks * gram**2).sum())  # E[tr A^2]
    k, kk = _active_moments(last, half)
    scale = c * model.last_variance / (9 * n * last)
    mean = scale * n * k * (2 * s + share * trace)
    second = (kk + 2 * k) * (2 * ss + 2 * share * s_trace + share**2 * (traces + 2 * squared))
    second += 2 * kk * ss + 2 * share * (kk * s_trace + 2 * k * form)
    return float(mean), float(scale**2 * second)


def _active_moments(units: int, half: float) -> tuple[float, float]:
    """Compute E[k] and E[k^2] of the number of active units: Binomial(n, 1/2), or n."""
    return half * units, half * units * (half * units + 1 - half)


def _angles(positions: Float[np.ndarray, "rows 9"]) -> Matrix:
    """Compute angles between columns from differences, as cosines are inaccurate near 0 and pi."""
    lengths = np.linalg.norm(positions, axis=0)
    units = (positions / np.where(lengths > 0, lengths, 1)).T
    apart = np.linalg.norm(units[:, None] - units, axis=-1)
    together = np.linalg.norm(units[:, None] + units, axis=-1)
    return np.where(np.eye(9) > 0, 0.0, 2 * np.arctan2(apart, together))


def _relu_pairs(variances: Float[np.ndarray, " 9"], angles: Matrix) -> UnitMoments:
    """Compute the expectations for ReLU: arc-cosine kernels of orders 0, 1, 2, and of 2 and 0."""
    deviations = np.sqrt(variances)
    lengths = np.outer(deviations, deviations)
    sine, cosine, rest = np.sin(angles), np.cos(angles), np.pi - angles
    turn = 2 * np.pi
    return UnitMoments(
        rest / turn,
        lengths * (sine + rest * cosine) / turn,
        lengths**2 * (3 * sine * cosine + rest * (1 + 2 * cosine**2)) / turn,
        variances[:, None] * (rest + sine * cosine) / turn,
    )


def _linear_pairs(covariance: Matrix) -> UnitMoments:
    variances = np.diag(covariance)
    squares = np.outer(variances, variances) + 2 * covariance**2
    ones = np.ones_like(covariance)
    return UnitMoments(ones, covariance, squares, variances[:, None] * ones)

"""Synthetic regression: targets from a deep Gaussian process (BN appendix D.4.1)."""

import numpy as np
from jaxtyping import Float

from ceflow.seeding import Seed

JITTER = 1e-9
"""Added to variances of 1, for the Cholesky factor."""


def deep_gaussian_process(
    x: Float[np.ndarray, "n d"],
    outputs: int,
    seed: Seed,
    *,
    hidden: int = 20,
    layers: int = 2,
    length: float = 2.0,
) -> Float[np.ndarray, "n outputs"]:
    """A function drawn from a deep Gaussian process, at these inputs.

    `layers` Gaussian processes, each of the last one's values, with `hidden` functions in each but
    the last and the covariance `exp(-|x - x'|^2/(2 length^2 d))`, d the numbers in x. The paper
    does not say which; the longer, the smoother. Over draws a target has mean 0 and variance 1,
    over the inputs of one draw about so. In float64; n^3/3 multiply-adds a layer.

    Training and test targets come from one draw: give all inputs at once.

    >>> x = np.random.default_rng(0).normal(size=(50, 3))
    >>> deep_gaussian_process(x, 2, Seed(0)).shape
    (50, 2)
    """
    if layers < 1 or hidden < 1 or outputs < 1 or not length > 0:
        raise ValueError(
            "a deep Gaussian process has 1 layer, function and output or more, and a length above 0"
        )
    values = np.asarray(x, float)
    for layer in range(layers):
        random = seed.fold(layer).numpy()
        width = outputs if layer == layers - 1 else hidden
        factor = np.linalg.cholesky(_covariance(values / length))
        values = factor @ random.standard_normal((len(values), width))
    return values


def _covariance(x: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n n"]:
    squares = np.square(x).sum(1)
    apart = np.maximum(squares[:, None] + squares - 2 * x @ x.T, 0)
    return np.exp(-apart / (2 * x.shape[1])) + JITTER * np.eye(len(x))

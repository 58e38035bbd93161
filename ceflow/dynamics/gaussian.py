"""The Gaussian process of a trained, infinitely wide network."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ceflow.dynamics.closed_form import ConstantKernel, Rows
from ceflow.kernels import Kernels


class TrainedGaussian(NamedTuple):
    """Mean (m, outputs) and covariance (m, m), the same for each output, of outputs at m points."""

    mean: Float[np.ndarray, "m outputs"]
    covariance: Float[np.ndarray, "m m"]


def trained_gaussian(
    frozen: ConstantKernel,
    targets: Rows,
    t: float,
    train: Kernels,
    cross: Kernels,
    test: Kernels,
) -> TrainedGaussian:
    """Give the law of an infinitely wide network's outputs at mu t = t, over its initial weights.

    With NTK `Theta`, NNGP `S` and `A = Theta* Theta^+ (1 - exp(-Theta t))` the outputs at test
    points are `F*_0 + A (y - F_0)`, where (F_0, F*_0) is Gaussian with covariance S: so the mean is
    `A y` and the covariance `S** - A S_X* - S_*X A^T + A S_XX A^T` (Lee et al., NeurIPS 2019, eq.
    14 and 15). At t = 0 it is the NNGP; where NTK = NNGP, at t = inf, the posterior without noise.

    `frozen` is `ConstantKernel(train.ntk)`, whose eigendecomposition serves all times; kernels as
    `ceflow.kernels.analytic` gives them of (x, x), (x*, x) and (x*, x*); `train` and `test` need
    their NNGP only, `cross` both.

    >>> from ceflow.kernels import Kernels
    >>> one, half = Kernels(np.eye(1), np.eye(1)), Kernels(0.5 * np.eye(1), 0.5 * np.eye(1))
    >>> frozen = ConstantKernel(one.ntk)
    >>> law = trained_gaussian(frozen, np.ones((1, 1)), np.inf, one, half, one)
    >>> law.mean, law.covariance
    (array([[0.5]]), array([[0.75]]))
    """
    prior, between, own = (np.asarray(part.nngp, float) for part in (train, cross, test))
    response = frozen.response(t, np.asarray(cross.ntk, float).T).T
    linear = response @ between.T
    covariance = own - linear - linear.T + response @ prior @ response.T
    return TrainedGaussian(response @ np.asarray(targets, float), covariance)

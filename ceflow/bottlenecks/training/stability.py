"""The largest stable learning rate."""

import numpy as np
from jaxtyping import Int

from ceflow.bottlenecks.training.ntk import ntk_at
from ceflow.bottlenecks.training.steps import Dynamics, State
from ceflow.dynamics import CrossEntropy, Loss
from ceflow.kernels import eigenvalue_max
from ceflow.spec import Bottleneck

BATCHES = 8
"""How many are tried."""


def curvature(loss: Loss, outputs: int) -> float:
    """Give the largest second derivative of an example's loss by its outputs."""
    if isinstance(loss, CrossEntropy):
        return 0.25 if outputs == 1 else 0.5
    return 1.0


def largest_factor(
    network: Bottleneck, dynamics: Dynamics, start: State, batches: Int[np.ndarray, "count b"]
) -> float:
    """Find the largest factor by which the learning rates can be multiplied: `2/(h w lambda)`.

    Lambda is the largest eigenvalue of the rates' NTK at the start, on the worst of some batches
    (`ComposedNtk`), h the loss's curvature, w the weight of an example of a batch. Beyond it the
    first steps grow; where no output can move it is infinite. Training may move the kernel, and
    with it the limit.
    """
    matrices = [ntk_at(network, dynamics, start, batch) for batch in batches]
    if not any(matrix.trace for matrix in matrices):
        return float("inf")
    largest = max(eigenvalue_max(matrix) for matrix in matrices if matrix.trace)  # pyright: ignore[reportArgumentType]
    weight = dynamics.loss.weight(batches.shape[1])
    return 2 / (curvature(dynamics.loss, dynamics.targets.shape[1]) * weight * largest)

"""Outputs and accuracies over all examples, a block at a time."""

from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from ceflow.kernels.pieces import by_chunks
from ceflow.training.networks import Network
from ceflow.training.steps import Kept


@eqx.filter_jit
def outputs(
    network: Network,
    kept: Kept,
    x: Float[Array, "n ..."],
    block: int,
    origins: PyTree = None,
) -> Float[Array, "replicas n outputs"]:
    """Compute the outputs of stacked replicas in inference mode, `block` examples at a time.

    `kept` has their parameters and states (`Replicas.kept`).
    """

    def one(parameters: PyTree, state: Any, origin: PyTree) -> Array:
        def part(x: Array) -> Array:
            return network.evaluated(parameters, state, x, origin)

        return by_chunks(part, x, block)

    return jax.vmap(one)(*kept, origins)


def top_accuracy(
    outputs: Float[np.ndarray, "n outputs"], targets: Float[np.ndarray, "n outputs"], count: int
) -> float:
    """Compute the fraction of examples whose class is among the `count` largest outputs.

    Targets are one-hot. NaN if outputs are not finite. Of equal outputs, the first counts as the
    larger.

    >>> outputs, targets = np.array([[0.1, 0.3, 0.2], [0.5, 0.0, 0.2]]), np.eye(3)[[2, 1]]
    >>> top_accuracy(outputs, targets, 1), top_accuracy(outputs, targets, 2)
    (0.0, 0.5)
    """
    if not np.isfinite(outputs).all():
        return float("nan")
    best = np.argsort(-outputs, axis=1, kind="stable")[:, :count]
    found: Bool[np.ndarray, " n"] = (best == targets.argmax(axis=1)[:, None]).any(axis=1)
    return float(found.mean())

"""Outputs and accuracies over all examples, a block at a time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree

from ceflow.compiler.programs import barred
from ceflow.kernels.empirical.convolutions import lowered
from ceflow.training.networks import Network
from ceflow.training.steps import Kept


def outputs(
    network: Network,
    kept: Kept,
    x: Float[Array, "n ..."],
    block: int,
    origins: PyTree = None,
) -> Float[Array, "replicas n outputs"]:
    """Compute the outputs of stacked replicas in inference mode, `block` examples at a time.

    `kept` has their parameters and states (`Replicas.kept`). The last block is padded with the last
    example. Each block is a call of its own.
    """
    size, count = min(block, len(x)), len(x)
    padded = jnp.pad(x, [(0, -count % size), *[(0, 0)] * (x.ndim - 1)], mode="edge")
    parts = padded.reshape(-1, size, *x.shape[1:])
    found = [_block(network, kept, part, origins) for part in parts]
    return jnp.concatenate(found, axis=1)[:, :count]


@barred
def _block(network: Network, kept: Kept, x: Array, origins: PyTree) -> Array:
    def one(parameters: PyTree, state: Any, origin: PyTree) -> Array:
        return network.evaluated(parameters, state, x, origin)

    return lowered(jax.vmap(one))(*kept, origins)


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

"""Losses and accuracies of outputs. Loads JAX: imported only when a stage runs."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from ceflow import data, kernels
from ceflow.compiler import Plan
from ceflow.dynamics import Loss


def losses_and_accuracies(
    plan: Plan, loss: Loss, dataset: data.Dataset, outputs: Float[np.ndarray, "replicas n outputs"]
) -> dict[str, Any]:
    """Compute loss and, of classes, accuracy of each replica.

    They are of training examples, which come first, and of test examples."""
    count = len(dataset.train.x)
    parts = {"train": (outputs[:, :count], dataset.train.y)}
    if len(dataset.test.x):
        parts["test"] = (outputs[:, count:], dataset.test.y)
    found: dict[str, Any] = {f"{part}_loss": _losses(loss, *both) for part, both in parts.items()}
    for part, (predicted, targets) in parts.items():
        if getattr(plan.document.data, "targets", "raw") != "raw":
            each = [kernels.accuracy(np.asarray(one), targets) for one in predicted]
            found[f"{part}_accuracy"] = np.array(each)
    return found


@eqx.filter_jit
def _losses(loss: Loss, outputs: ArrayLike, targets: ArrayLike) -> Float[Array, " replicas"]:
    return jax.vmap(loss, in_axes=(0, None))(jnp.asarray(outputs), jnp.asarray(targets))

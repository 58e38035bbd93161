"""What flow and train stages share: examples in function space, losses, when to stop.

Loads JAX: imported only when a stage runs.
"""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, PyTree

from ceflow import bottlenecks, data, dynamics, kernels
from ceflow.compiler import Plan
from ceflow.dynamics import Loss
from ceflow.seeding import Seed
from ceflow.spec import Descent, Model
from ceflow.spec.models.segmented import Segmented

if TYPE_CHECKING:
    from ceflow.bottlenecks import Rates, Simulation


class LossAbove(eqx.Module):
    """`log(L/level)` of the training loss L; a flow stops when it reaches 0."""

    outputs: Callable[[PyTree], Float[Array, "n outputs"]]
    targets: Float[Array, "n outputs"]
    loss: Loss
    level: float = eqx.field(static=True)

    def __call__(self, t: Array, state: PyTree) -> Float[Array, ""]:
        return jnp.log(self.loss(self.outputs(state), self.targets) / self.level)


def losses_and_accuracies(
    plan: Plan, loss: Loss, dataset: data.Dataset, outputs: Float[np.ndarray, "replicas n outputs"]
) -> dict[str, Any]:
    """Compute the loss of each replica, and its accuracy if the targets are classes.

    They are computed for the training examples, which come first, and for the test examples.
    """
    count = len(dataset.train.x)
    parts = {"train": loss_and_accuracy(plan, loss, outputs[:, :count], dataset.train.y)}
    if len(dataset.test.x):
        parts["test"] = loss_and_accuracy(plan, loss, outputs[:, count:], dataset.test.y)
    return by_part(parts)


def by_part(parts: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Name the numbers of each part.

    >>> by_part({"train": {"loss": 1.0, "accuracy": 0.5}, "test": {"loss": 2.0, "accuracy": 0.0}})
    {'train_loss': 1.0, 'test_loss': 2.0, 'train_accuracy': 0.5, 'test_accuracy': 0.0}
    """
    keys = dict.fromkeys(key for found in parts.values() for key in found)
    return {f"{part}_{key}": found[key] for key in keys for part, found in parts.items()}


def loss_and_accuracy(
    plan: Plan,
    loss: Loss,
    outputs: Float[np.ndarray, "replicas n outputs"],
    targets: Float[np.ndarray, "n outputs"],
) -> dict[str, Any]:
    """Compute the loss of each replica on some examples, and its accuracy if the targets are
    classes.
    """
    found: dict[str, Any] = {"loss": _losses(loss, outputs, targets)}
    if plan.document.data and plan.document.data.has_classes:
        found["accuracy"] = np.array([_accuracy(np.asarray(one), targets) for one in outputs])
    return found


def _accuracy(predicted: np.ndarray, targets: np.ndarray) -> float:
    """Compute the accuracy of outputs; NaN if some are not finite, as their loss is."""
    return kernels.accuracy(predicted, targets) if np.isfinite(predicted).all() else np.nan


@eqx.filter_jit
def _losses(loss: Loss, outputs: ArrayLike, targets: ArrayLike) -> Float[Array, " replicas"]:
    return jax.vmap(loss, in_axes=(0, None))(jnp.asarray(outputs), jnp.asarray(targets))


def simulated(
    stage: Descent,
    model: Model,
    dataset: data.Dataset,
    seed: Seed,
    *,
    engine: Literal["features", "history"] = "features",
    rate_factors: "Rates | None" = None,
) -> "Simulation":
    """Build the simulation of a stage's examples, from a network sampled for it.

    Use it within `ceflow.stages.stage.precision`.
    """
    network = Segmented.expect(model)
    train, test = dataset.train, dataset.test
    inputs, outputs = network.size_of("inputs") or train.x.shape[1], train.y.shape[1]
    initial = bottlenecks.sample(
        network, inputs, outputs, seed, width=stage.width, features=stage.sampling
    )
    return bottlenecks.Simulation(
        network,
        initial,
        train.x.reshape(-1, *initial.inputs),
        train.y,
        x_test=test.x.reshape(-1, *initial.inputs) if len(test.x) else None,
        loss=dynamics.LOSSES[stage.loss](stage.reduction),
        engine=engine,
        rate_factors=rate_factors or bottlenecks.Rates(1.0, 1.0),
    )

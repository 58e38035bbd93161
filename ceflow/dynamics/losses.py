"""Losses, and their derivatives by the outputs."""

from abc import abstractmethod
from typing import get_args

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ceflow._words import one_of
from ceflow.nets import floats
from ceflow.spec.stages.descent import Reduction, weight_of


class Loss(eqx.Module):
    """A loss over examples, and `chi = dL/dF`.

    `reduction` says whether the loss is summed over examples, as in the papers, or averaged. With
    "mean", loss and chi are divided by the number of examples n, so a flow takes n times as long;
    with "mean-all" by n times the number of outputs.
    """

    reduction: Reduction = eqx.field(static=True, default="sum")

    def __check_init__(self):
        one_of("reduction", self.reduction, get_args(Reduction))

    @abstractmethod
    def per_example(
        self, outputs: Float[Array, "n outputs"], targets: Float[Array, "n outputs"]
    ) -> Float[Array, " n"]:
        """Compute the loss of each example."""

    @abstractmethod
    def curvature(self, outputs: int) -> float:
        """Return the largest second derivative of an example's loss by its outputs.

        Gradient descent is stable up to a learning rate of 2/(curvature x largest eigenvalue).
        """

    def gradient(
        self, outputs: Float[Array, "n outputs"], targets: Float[Array, "n outputs"]
    ) -> Float[Array, "n outputs"]:
        """Differentiate the loss of each example by its outputs.

        Subclasses with a formula override this: it is faster and more exact than JAX's derivative.
        """
        return jax.grad(lambda out: self.per_example(out, targets).sum())(outputs)

    def weight(self, n: int, outputs: int) -> float:
        """Return the weight of one of n examples; `outputs` is the number of outputs."""
        return weight_of(self.reduction, n, outputs)

    def __call__(
        self, outputs: Float[Array, "n outputs"], targets: Float[Array, "n outputs"]
    ) -> Float[Array, ""]:
        """Compute the loss L of all examples."""
        outputs, targets = _floats(outputs, targets)
        return self.weight(*targets.shape) * self.per_example(outputs, targets).sum()

    def chi(
        self, outputs: Float[Array, "n outputs"], targets: Float[Array, "n outputs"]
    ) -> Float[Array, "n outputs"]:
        """Compute `chi = dL/dF`."""
        outputs, targets = _floats(outputs, targets)
        return self.weight(*targets.shape) * self.gradient(outputs, targets)


def _floats(outputs: ArrayLike, targets: ArrayLike) -> tuple[Array, Array]:
    """Convert outputs and targets to floats, as differences of unsigned integers wrap around.

    Whole-number targets are converted to the type of the outputs. Raises `ValueError` unless both
    are (n, outputs) with n of 1 or more, as other shapes would be broadcast.
    """
    outputs = floats(outputs)
    targets = floats(targets, outputs.dtype)
    if outputs.ndim != 2 or outputs.shape != targets.shape or not len(outputs):
        raise ValueError(
            f"outputs of shape {outputs.shape} have no loss with targets of {targets.shape}: both"
            " must be (examples, outputs)"
        )
    return outputs, targets


class SquaredError(Loss):
    """`L = 1/2 |F - y|^2` (CE section 2), so `chi = F - y`.

    >>> loss = SquaredError()
    >>> float(loss(jnp.array([[3.0, 0.0]]), jnp.array([[1.0, 0.0]])))
    2.0
    """

    def per_example(self, outputs: Array, targets: Array) -> Array:
        return 0.5 * jnp.square(outputs - targets).sum(axis=-1)

    def gradient(self, outputs: Array, targets: Array) -> Array:
        return outputs - targets

    def curvature(self, outputs: int) -> float:
        return 1.0


class CrossEntropy(Loss):
    """`L = -sum_a y_a log softmax(F)_a`, so `chi = softmax(F) - y`; targets sum to 1.

    With one output and targets of -1 and 1, it is the logistic loss `log(1 + exp(-y F))`. It is one
    number for all outputs, so the reduction "mean-all" raises `ValueError`.

    >>> round(float(CrossEntropy()(jnp.zeros((3, 1)), jnp.ones((3, 1)))), 4)   # 3 log 2
    2.0794
    """

    def __check_init__(self):
        if self.reduction == "mean-all":
            raise ValueError("cross-entropy has no mean over outputs: use the reduction 'mean'")

    def per_example(self, outputs: Array, targets: Array) -> Array:
        if outputs.shape[-1] == 1:
            return jax.nn.softplus(-targets * outputs)[..., 0]
        return -(targets * jax.nn.log_softmax(outputs)).sum(axis=-1)

    def gradient(self, outputs: Array, targets: Array) -> Array:
        if outputs.shape[-1] == 1:
            return -targets * jax.nn.sigmoid(-targets * outputs)
        return targets.sum(axis=-1, keepdims=True) * jax.nn.softmax(outputs) - targets

    def curvature(self, outputs: int) -> float:
        return 0.25 if outputs == 1 else 0.5


LOSSES: dict[str, type[Loss]] = {"mse": SquaredError, "cross-entropy": CrossEntropy}
"""Losses by their names in specs."""

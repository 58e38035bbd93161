"""The largest stable learning rate."""

from dataclasses import dataclass

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ceflow.bottlenecks.kernels.decoder import DecoderKernels
from ceflow.bottlenecks.kernels.rows import KernelRows
from ceflow.bottlenecks.network import Bottleneck
from ceflow.bottlenecks.training.steps import Dynamics
from ceflow.bottlenecks.wide import WideNetwork
from ceflow.dynamics import CrossEntropy, Loss
from ceflow.kernels import eigenvalue_max

BATCHES = 8
"""How many are tried."""
POINTS = 64
"""Whose Jacobians are taken at once."""


@dataclass(frozen=True)
class ComposedNtk:
    """`K(g, g') I + Theta J J'^T` on some examples (BN eq. 6), each part times its learning rate.

    As what it does to a vector, for a matrix of all examples and outputs may not fit.
    """

    kernel: Float[np.ndarray, "b b"]
    theta: Float[np.ndarray, "b b"]
    jacobian: Float[np.ndarray, "b outputs d"]

    @property
    def trace(self) -> float:
        """0 for no other matrix than 0, which has no eigenvectors to look for."""
        squares = np.square(self.jacobian).sum(axis=(1, 2))
        outputs = self.jacobian.shape[1]
        return float(outputs * self.kernel.trace() + self.theta.diagonal() @ squares)

    def __len__(self) -> int:
        return self.jacobian.shape[0] * self.jacobian.shape[1]

    def __matmul__(self, v: np.ndarray) -> np.ndarray:
        examples, outputs, _ = self.jacobian.shape
        pull = np.einsum("bod,bo->bd", self.jacobian, v.reshape(examples, outputs))
        pushed = np.einsum("bod,bd->bo", self.jacobian, self.theta @ pull)
        return (self.kernel @ v.reshape(examples, outputs) + pushed).reshape(v.shape)


def composed_ntk(
    network: Bottleneck, initial: WideNetwork, dynamics: Dynamics, points: Array, batch: Array
) -> ComposedNtk:
    """Of a batch, at the start, under the dynamics' learning rates."""
    theta = float(dynamics.rates.encoder) * np.asarray(_square(dynamics.kernel, batch), float)
    here = points[batch]
    if not network.finite:
        outputs = here.shape[1]
        unit = np.broadcast_to(np.eye(outputs), (len(batch), outputs, outputs))
        return ComposedNtk(np.zeros_like(theta), theta, unit)
    kernel = np.asarray(DecoderKernels(network).ntk(here, here), float)
    jacobian = jax.lax.map(
        lambda point: initial.decoder.jacobian(point[None])[0], here, batch_size=POINTS
    )
    return ComposedNtk(float(dynamics.rates.decoder) * kernel, theta, np.asarray(jacobian, float))


@eqx.filter_jit
def _square(kernel: KernelRows, batch: Array) -> Float[Array, "b b"]:
    return kernel(batch)[:, batch]


def curvature(loss: Loss, outputs: int) -> float:
    """The largest second derivative of an example's loss by its outputs."""
    if isinstance(loss, CrossEntropy):
        return 0.25 if outputs == 1 else 0.5
    return 1.0


def largest_factor(
    network: Bottleneck,
    initial: WideNetwork,
    dynamics: Dynamics,
    points: Array,
    batches: Int[np.ndarray, "count b"],
) -> float:
    """By what the learning rates can be multiplied at most: `2/(h w lambda)`.

    Lambda is the largest eigenvalue of the rates' NTK at the start, on the worst of some batches
    (`ComposedNtk`), h the loss's curvature, w the weight of an example of a batch. Beyond it the
    first steps grow; where no output can move it is infinite. Training may move the kernel, and
    with it the limit.
    """
    matrices = [
        composed_ntk(network, initial, dynamics, points, jnp.asarray(batch)) for batch in batches
    ]
    if not any(matrix.trace for matrix in matrices):
        return float("inf")
    largest = max(eigenvalue_max(matrix) for matrix in matrices if matrix.trace)  # pyright: ignore[reportArgumentType]
    weight = dynamics.loss.weight(batches.shape[1])
    return 2 / (curvature(dynamics.loss, dynamics.targets.shape[1]) * weight * largest)

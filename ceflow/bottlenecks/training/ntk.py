"""NTK of a network with a bottleneck during training, and the largest stable learning rate."""

from dataclasses import dataclass

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ceflow.bottlenecks.kernels.decoder import DecoderKernels
from ceflow.bottlenecks.kernels.rows import KernelRows
from ceflow.bottlenecks.training import steps
from ceflow.bottlenecks.training.steps import Dynamics, State
from ceflow.kernels import eigenvalue_max
from ceflow.spec import Bottleneck


@dataclass(frozen=True)
class ComposedNtk:
    """NTK `K(g, g') I + Theta J J'^T` on some examples (in BN eq. 14).

    Each term is multiplied by the learning rate of its half. The NTK is held in factors and
    multiplied with vectors, because its matrix over all examples and outputs may not fit in memory.
    """

    kernel: Float[np.ndarray, "b b"]
    theta: Float[np.ndarray, "b b"]
    jacobian: Float[np.ndarray, "b outputs d"]

    @property
    def trace(self) -> float:
        """Trace of the matrix. It is 0 only if the matrix is 0."""
        squares = np.square(self.jacobian).sum(axis=(1, 2))
        outputs = self.jacobian.shape[1]
        return float(outputs * self.kernel.trace() + self.theta.diagonal() @ squares)

    @property
    def mean(self) -> Float[np.ndarray, "b b"]:
        """Mean over outputs a of the entries `K^aa`."""
        examples, outputs, _ = self.jacobian.shape
        flat = self.jacobian.reshape(examples, -1)
        return self.kernel + self.theta * (flat @ flat.T) / outputs

    def __len__(self) -> int:
        return self.jacobian.shape[0] * self.jacobian.shape[1]

    def __matmul__(self, v: np.ndarray) -> np.ndarray:
        examples, outputs, _ = self.jacobian.shape
        pull = np.einsum("bod,bo->bd", self.jacobian, v.reshape(examples, outputs))
        pushed = np.einsum("bod,bd->bo", self.jacobian, self.theta @ pull)
        return (self.kernel @ v.reshape(examples, outputs) + pushed).reshape(v.shape)


def ntk_at(
    network: Bottleneck, dynamics: Dynamics, state: State, examples: Int[np.ndarray, " b"]
) -> ComposedNtk:
    """Compute the NTK of some training examples in a state, times the dynamics' learning rates."""
    some = jnp.asarray(examples)
    here = state.points[some]
    theta = float(dynamics.rates.encoder) * np.asarray(_square(dynamics.kernel, some), float)
    kernel = np.zeros_like(theta)  # for an infinite bottleneck, K is a part of Theta
    if network.size < np.inf:
        kernel = float(dynamics.rates.decoder) * DecoderKernels(network).ntk(here, here)
    jacobian = steps.jacobian(dynamics.engine, state.memory, here)
    return ComposedNtk(np.asarray(kernel, float), theta, np.asarray(jacobian, float))


@eqx.filter_jit
def _square(kernel: KernelRows, some: Array) -> Float[Array, "b b"]:
    return kernel(some)[:, some]


RATE_BATCHES = 8
"""Number of batches on which the largest stable learning rate is computed."""


def largest_factor(
    network: Bottleneck, dynamics: Dynamics, start: State, batches: Int[np.ndarray, "count b"]
) -> float:
    """Compute the largest stable factor on the learning rates, `2/(h w lambda)`.

    Here lambda is the largest eigenvalue of the initial NTK with its learning rates
    (`ComposedNtk`), over the given batches, h is the curvature of the loss, and w is the weight of
    an example in a batch. With a larger factor, the first steps diverge. If no output can move, the
    factor is infinite. As training may change the kernel, it may change this limit, too.
    """
    matrices = [ntk_at(network, dynamics, start, batch) for batch in batches]
    if not any(matrix.trace for matrix in matrices):
        return float("inf")
    largest = max(eigenvalue_max(matrix) for matrix in matrices if matrix.trace)  # pyright: ignore[reportArgumentType]
    outputs = dynamics.targets.shape[1]
    weight = dynamics.loss.weight(batches.shape[1], outputs)
    return 2 / (dynamics.loss.curvature(outputs) * weight * largest)

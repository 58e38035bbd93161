"""The NTK of the whole network as the decoder and its points move, and the largest stable rate."""

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

    @property
    def mean(self) -> Float[np.ndarray, "b b"]:
        """Over outputs a, of the entries `K^aa`."""
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
    """Compute the NTK of some training examples in a state, under the dynamics' learning rates."""
    some = jnp.asarray(examples)
    here = state.points[some]
    theta = float(dynamics.rates.encoder) * np.asarray(_square(dynamics.kernel, some), float)
    kernel = np.zeros_like(theta)  # an infinite bottleneck's is a part of Theta
    if network.size < np.inf:
        kernel = float(dynamics.rates.decoder) * DecoderKernels(network).ntk(here, here)
    jacobian = steps.jacobian(dynamics.engine, state.memory, here)
    return ComposedNtk(np.asarray(kernel, float), theta, np.asarray(jacobian, float))


@eqx.filter_jit
def _square(kernel: KernelRows, some: Array) -> Float[Array, "b b"]:
    return kernel(some)[:, some]


BATCHES = 8
"""How many are tried."""


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
    return 2 / (dynamics.loss.curvature(dynamics.targets.shape[1]) * weight * largest)

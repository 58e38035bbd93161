"""NTK of a network with bottlenecks during training, and the largest stable learning rate."""

from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ceflow.bottlenecks.kernels.decoder import DecoderKernels
from ceflow.bottlenecks.kernels.rows import KernelRows
from ceflow.bottlenecks.training import steps
from ceflow.bottlenecks.training.engines import after
from ceflow.bottlenecks.training.steps import Dynamics, State
from ceflow.kernels import eigenvalue_max
from ceflow.spec.models.segmented import Segmented


class Term(NamedTuple):
    """A kernel of one of the functions in sequence, and the Jacobian of those after it."""

    kernel: Float[np.ndarray, "b b"]
    jacobian: Float[np.ndarray, "b outputs d"]


@dataclass(frozen=True)
class ComposedNtk:
    """NTK `K(g, g') I + Theta J J'^T` on some examples (in BN eq. 14); in a chain there is a term
    for each function before the last, with the Jacobian of all functions after it.

    Each term is multiplied by the learning rate of its function. The NTK is held in factors and
    multiplied with vectors, because its matrix over all examples and outputs may not fit in memory.
    """

    kernel: Float[np.ndarray, "b b"]
    """That of the last function."""
    terms: tuple[Term, ...]
    """Those of the functions before it, first to last."""

    @property
    def trace(self) -> float:
        """Trace of the matrix. It is 0 only if the matrix is 0."""
        squares = (np.square(term.jacobian).sum(axis=(1, 2)) for term in self.terms)
        own = (term.kernel.diagonal() for term in self.terms)
        return float(self._outputs * self.kernel.trace() + sum(map(np.dot, own, squares)))

    @property
    def mean(self) -> Float[np.ndarray, "b b"]:
        """Mean over outputs a of the entries `K^aa`."""
        total = self.kernel
        for kernel, jacobian in self.terms:
            flat = jacobian.reshape(len(jacobian), -1)
            total = total + kernel * (flat @ flat.T) / self._outputs
        return total

    def __len__(self) -> int:
        return len(self.kernel) * self._outputs

    def __matmul__(self, v: np.ndarray) -> np.ndarray:
        each = v.reshape(len(self.kernel), self._outputs)
        total = self.kernel @ each
        for kernel, jacobian in self.terms:
            pull = np.einsum("bod,bo->bd", jacobian, each)
            total = total + np.einsum("bod,bd->bo", jacobian, kernel @ pull)
        return total.reshape(v.shape)

    @property
    def _outputs(self) -> int:
        return self.terms[0].jacobian.shape[1]


def ntk_at(
    network: Segmented, dynamics: Dynamics, state: State, examples: Int[np.ndarray, " b"]
) -> ComposedNtk:
    """Compute the NTK of some training examples in a state, times the dynamics' learning rates."""
    some = jnp.asarray(examples)
    seen = steps.seen(dynamics.engine, state.memory, state.points[some])
    kernels = [float(dynamics.rates.encoder) * np.asarray(_square(dynamics.kernel, some), float)]
    if network.is_narrow:
        for bottleneck, each in zip(network.bottlenecks, seen, strict=True):
            kernel = DecoderKernels(bottleneck).ntk(each.points, each.points)
            kernels.append(np.asarray(float(dynamics.rates.decoder) * kernel, float))
    else:  # for an infinite bottleneck, K is a part of Theta
        kernels.append(np.zeros_like(kernels[0]))
    jacobians = [np.asarray(each.jacobian, float) for each in seen]
    behind = [*accumulate(reversed(jacobians), lambda then, first: after(first, then))]
    return ComposedNtk(kernels[-1], tuple(map(Term, kernels[:-1], reversed(behind))))


@eqx.filter_jit
def _square(kernel: KernelRows, some: Array) -> Float[Array, "b b"]:
    return kernel(some)[:, some]


RATE_BATCHES = 8
"""Number of batches on which the largest stable learning rate is computed."""


def largest_factor(
    network: Segmented, dynamics: Dynamics, start: State, batches: Int[np.ndarray, "count b"]
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

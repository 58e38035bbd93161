"""The NTK of the whole network, as the decoder and its points move."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ceflow.bottlenecks.kernels.decoder import DecoderKernels
from ceflow.bottlenecks.kernels.rows import KernelRows
from ceflow.bottlenecks.training import steps
from ceflow.bottlenecks.training.steps import Dynamics, State
from ceflow.spec import Bottleneck

if TYPE_CHECKING:
    from ceflow.bottlenecks.training.simulation import Simulation


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


def composed_ntk(
    simulation: "Simulation", state: State, examples: Int[np.ndarray, " b"] | None = None
) -> Float[np.ndarray, "b b"]:
    """Compute the NTK of `F_t = f_t o g_t` on training examples, all or some, in float64.

    The mean over outputs a of `K(g, g') + Theta J_a.J'_a` (BN eq. 6): g and J at time t, K and
    Theta those of the limit, which as functions stay. It moves with g and J; with an infinite
    bottleneck it does not. Of unlike learning rates (`Simulation.shares`) each part is taken times
    its own. Memory is b^2 + b outputs d numbers. Raises `ValueError` for an example that is none.

    >>> from ceflow.bottlenecks import Batches, Simulation, composed_ntk, relu, sample
    >>> from ceflow.seeding import Seed
    >>> network = Bottleneck(size=2, encoder=relu(), decoder=relu())
    >>> initial = sample(network, 3, 1, Seed(0), width=2000)
    >>> simulation = Simulation(network, initial, jnp.eye(3), jnp.ones((3, 1)))
    >>> state = simulation.train(1.0, Batches(3, 3), 200).state
    >>> before, after = (composed_ntk(simulation, s) for s in (simulation.start(), state))
    >>> bool(after.trace() > before.trace())
    True
    """
    count = simulation.train_count
    some = np.arange(count) if examples is None else np.asarray(examples)
    if some.size and not 0 <= some.min() <= some.max() < count:
        raise ValueError(f"training examples are numbered 0 to {count - 1}, not {some.tolist()}")
    return ntk_at(simulation.network, simulation.dynamics, state, some).mean

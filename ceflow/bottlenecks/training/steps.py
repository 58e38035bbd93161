"""Steps of stochastic gradient descent in function space (BN eq. 42 to 44)."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from ceflow.bottlenecks.costs import CHUNK
from ceflow.bottlenecks.kernels.rows import KernelRows
from ceflow.bottlenecks.training.engines import Engine
from ceflow.dynamics import Loss
from ceflow.kernels.pieces import by_chunks

FEWER = 64
"""Points whose Jacobians are computed at once."""


class Rates(NamedTuple):
    """Learning rates of encoder and decoder (BN lemma 4.1)."""

    encoder: Any
    decoder: Any

    def times(self, factor: float) -> "Rates":
        """Multiply both, in the same proportion."""
        return Rates(factor * self.encoder, factor * self.decoder)


class State(NamedTuple):
    """All that the next step depends on."""

    points: Float[Array, "m d"]
    """`g_t` of training and test inputs."""
    coefficients: Float[Array, "n d"]
    """`g_t(x) = g_0(x) - sum_i Theta(x, x_i) coefficients_i` at any x."""
    memory: PyTree
    """The decoder's (`Engine`)."""


class Dynamics(eqx.Module):
    """All that does not change in training, but for the rates."""

    kernel: KernelRows
    engine: Engine
    targets: Float[Array, "n outputs"]
    loss: Loss
    rates: Rates

    def start(self, points: Float[Array, "m d"]) -> State:
        """Give the state before the first step, where the encoder maps inputs to these points."""
        empty = jnp.zeros((len(self.targets), points.shape[1]), points.dtype)
        return State(points, empty, self.engine.start())

    def step(
        self, state: State, batch: Int[Array, " b"], rows: Float[Array, "b m"]
    ) -> tuple[State, Float[Array, ""]]:
        """Take a step on a batch: give the state after it, and the examples' mean loss before.

        Everything is taken at time t: `chi`, and `f_t` and `J_t` at the points `g_t`.
        """
        targets = self.targets[batch]
        memory, pull, outputs = self.engine.learn(
            state.memory,
            state.points[batch],
            lambda outputs: self.loss.chi(outputs, targets),
            self.rates.decoder,
        )
        pull = self.rates.encoder * pull
        points = state.points - rows.T @ pull
        moved = State(points, state.coefficients.at[batch].add(pull), memory)
        return moved, self.loss.per_example(outputs, targets).mean()


@eqx.filter_jit
def advance(
    dynamics: Dynamics, state: State, batches: Int[Array, "steps b"], count: Int[Array, ""]
) -> tuple[State, Float[Array, " steps"]]:
    """Take the first `count` of these batches: give the state then, and each one's loss, else NaN.

    Rows of the kernel are made for all batches at once: the inputs are then read once.
    """
    width = batches.shape[1]
    rows = dynamics.kernel(batches.reshape(-1))

    def step(index: Array, carry: tuple[State, Array]) -> tuple[State, Array]:
        state, losses = carry
        here = jax.lax.dynamic_slice_in_dim(rows, index * width, width)
        state, loss = dynamics.step(state, batches[index], here)
        return state, losses.at[index].set(loss)

    losses = jnp.full(len(batches), jnp.nan, state.points.dtype)
    return jax.lax.fori_loop(0, count, step, (state, losses))


@eqx.filter_jit
def outputs(
    engine: Engine, memory: PyTree, points: Float[Array, "m d"]
) -> Float[Array, "m outputs"]:
    """Compute the outputs of any points, some at a time."""
    return by_chunks(lambda part: engine.outputs(memory, part), points, CHUNK)


@eqx.filter_jit
def jacobian(
    engine: Engine, memory: PyTree, points: Float[Array, "m d"]
) -> Float[Array, "m outputs d"]:
    """Compute the Jacobian of any points, some at a time."""
    return by_chunks(lambda part: engine.jacobian(memory, part), points, FEWER)

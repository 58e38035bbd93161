"""Steps of stochastic gradient descent in function space (BN eq. 42 to 44)."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PyTree

from ceflow.bottlenecks.costs import OUTPUTS_AT_ONCE
from ceflow.bottlenecks.kernels.rows import KernelRows
from ceflow.bottlenecks.training.engines import Engine, Seen
from ceflow.dynamics import Loss
from ceflow.kernels.pieces import by_chunks
from ceflow.seeding import full_products

JACOBIANS_AT_ONCE = 64
"""Number of points whose Jacobians are computed at once."""


class Rates(NamedTuple):
    """Learning rates of encoder and decoder (BN lemma 4.1); in a chain, of the first segment and of
    the others."""

    encoder: Any
    decoder: Any

    def times(self, factor: float) -> "Rates":
        """Multiply both rates by a factor."""
        return Rates(factor * self.encoder, factor * self.decoder)


class State(NamedTuple):
    """State of a training: everything that the next step depends on."""

    points: Float[Array, "m d"]
    """Values `g_t` in the first bottleneck, of training and test inputs."""
    coefficients: Float[Array, "n d"]
    """Coefficients of the encoder: `g_t(x) = g_0(x) - sum_i Theta(x, x_i) coefficients_i`."""
    memory: PyTree
    """Memory of the decoder (see `Engine`)."""


class Dynamics(eqx.Module):
    """Everything that a training needs besides its state and batches; only `rates` may change."""

    kernel: KernelRows
    engine: Engine
    targets: Float[Array, "n outputs"]
    loss: Loss
    rates: Rates

    def start(self, points: Float[Array, "m d"]) -> State:
        """Return the initial state, in which the encoder maps the inputs to these points."""
        empty = jnp.zeros((len(self.targets), points.shape[1]), points.dtype)
        return State(points, empty, self.engine.start())

    def step(
        self, state: State, batch: Int[Array, " b"], rows: Float[Array, "b m"]
    ) -> tuple[State, Float[Array, ""]]:
        """Take a step on a batch; return the state after it, and the batch's mean loss before it.

        All terms are evaluated before the step: `chi`, and `f_t` and `J_t` at the points `g_t`.
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
@full_products()
def advance(
    dynamics: Dynamics, state: State, batches: Int[Array, "steps b"], count: Int[Array, ""]
) -> tuple[State, Float[Array, " steps"]]:
    """Take a step on each of the first `count` batches; return the final state and the losses.

    Losses of batches beyond `count` are NaN. Rows of the kernel are computed for all batches at
    once, so that the inputs are read once.
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
@full_products()
def outputs(
    engine: Engine, memory: PyTree, points: Float[Array, "m d"]
) -> Float[Array, "m outputs"]:
    """Compute the outputs of points in chunks."""
    return by_chunks(lambda part: engine.outputs(memory, part), points, OUTPUTS_AT_ONCE)


@eqx.filter_jit
@full_products()
def values(engine: Engine, memory: PyTree, points: Float[Array, "m d"]) -> Float[Array, "m k"]:
    """Compute the values in all bottlenecks, side by side, in chunks."""

    def of(part: Array) -> Array:
        return jnp.concatenate([each.points for each in engine.seen(memory, part)], axis=1)

    return by_chunks(of, points, OUTPUTS_AT_ONCE)


@eqx.filter_jit
@full_products()
def seen(engine: Engine, memory: PyTree, points: Float[Array, "m d"]) -> tuple[Seen, ...]:
    """Compute the outputs and Jacobians of all decoders in chunks."""
    return by_chunks(lambda part: engine.seen(memory, part), points, JACOBIANS_AT_ONCE)

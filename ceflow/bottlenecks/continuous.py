"""Gradient flow (BN theorem 3.2), on a Markovian state."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, PyTree

from ceflow.bottlenecks.training.engines import Markovian
from ceflow.bottlenecks.training.simulation import Simulation
from ceflow.bottlenecks.training.steps import Dynamics, State
from ceflow.dynamics import Trajectory, integrate

FlowState = tuple[Float[Array, "n d"], PyTree]
"""Coefficients of the encoder (`State.coefficients`), and the decoder's memory."""


class BottleneckFlow(eqx.Module):
    """`dg/dt = -Theta J^T chi` (BN eq. 12) by its coefficients, and the decoder's own flow.

    Of a decoder whose weights move: that eq. 13 and 14 hold is what it comes to.
    """

    dynamics: Dynamics
    points: Float[Array, "m d"]
    """`g_0` of training and test inputs."""

    @classmethod
    def from_simulation(cls, simulation: Simulation) -> "BottleneckFlow":
        """Make the flow of a simulation, at a learning rate of 1."""
        return cls(simulation.dynamics, simulation.points)

    def __call__(self, t: Any, state: FlowState) -> FlowState:
        engine, here, y = self.dynamics.engine, self.state(state), self.dynamics.targets
        assert isinstance(engine, Markovian)
        _, change, pull = engine.gradients(
            here.memory, here.points[: len(y)], lambda f: self.dynamics.loss.chi(f, y)
        )
        rates = self.dynamics.rates
        return rates.encoder * pull, jax.tree.map(lambda c: -rates.decoder * c, change)

    def state(self, state: FlowState) -> State:
        """Make the state with these points."""
        coefficients, memory = state
        moved = self.dynamics.kernel.product(coefficients)
        return State(self.points - moved, coefficients, memory)

    def outputs(self, state: FlowState) -> Float[Array, "n outputs"]:
        """Compute `F_t` on training inputs."""
        here = self.state(state)
        return self.dynamics.engine.outputs(here.memory, here.points[: len(self.dynamics.targets)])


def flow(
    simulation: Simulation,
    times: Sequence[float],
    *,
    record: Callable[[float, State], PyTree] = lambda t, state: state.points,
    **options: Any,
) -> Trajectory:
    """Follow gradient flow on all training examples through `times`, in units of mu t.

    `record(t, state)` sees a state as in training. Options are those of `dynamics.integrate`: the
    solver, its tolerances, what may end it. Of ReLU, whose kinks cost steps, and all else that
    jumps in its derivatives, errors do not follow rtol below about 1e-5.

    Raises `ValueError` for the engine "history", whose memory has no derivative.

    >>> import jax.numpy as jnp
    >>> from ceflow.spec import Bottleneck
    >>> from ceflow.bottlenecks import mlp, relu, sample
    >>> from ceflow.seeding import Seed
    >>> network = Bottleneck(size=2, encoder=relu(), decoder=mlp("softplus"))
    >>> initial = sample(network, 3, 1, Seed(0), width=100)
    >>> simulation = Simulation(network, initial, jnp.eye(3), jnp.ones((3, 1)))
    >>> loss = lambda t, state: simulation.loss_of(state)
    >>> before, after = flow(simulation, [0.0, 10.0], record=loss).records
    >>> bool(after < before / 2)
    True
    """
    if simulation.engine == "history" and simulation.network.size < math.inf:
        raise ValueError(
            'a flow needs the engine "features": the past of "history" is one of steps'
        )
    field = BottleneckFlow.from_simulation(simulation)
    start = simulation.start()
    return integrate(
        field,
        (start.coefficients, start.memory),
        times,
        record=lambda t, state: record(t, eqx.filter_jit(field.state)(state)),
        **options,
    )

"""Gradient flow of networks with bottlenecks (BN theorem 3.2), on a Markovian state."""

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
"""The encoder's coefficients (`State.coefficients`) and the decoder's memory."""


class BottleneckFlow(eqx.Module):
    """Time derivative of a flow state: `dg/dt = -Theta J^T chi` (BN eq. 12), and the decoder's.

    The decoders' weights follow gradient flow, which implies BN eq. 13 and 14.
    """

    dynamics: Dynamics
    points: Float[Array, "m d"]
    """Values `g_0` in the bottleneck, of training and test inputs."""

    @classmethod
    def from_simulation(cls, simulation: Simulation) -> "BottleneckFlow":
        """Create the flow of a simulation, at learning rate 1."""
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
        """Convert a flow state to a training state."""
        coefficients, memory = state
        moved = self.dynamics.kernel.product(coefficients)
        return State(self.points - moved, coefficients, memory)

    def outputs(self, state: FlowState) -> Float[Array, "n outputs"]:
        """Compute the outputs `F_t` on training inputs."""
        here = self.state(state)
        return self.dynamics.engine.outputs(here.memory, here.points[: len(self.dynamics.targets)])


def flow(
    simulation: Simulation,
    times: Sequence[float],
    *,
    record: Callable[[float, State], PyTree] = lambda t, state: state.points,
    **options: Any,
) -> Trajectory:
    """Integrate gradient flow on all training examples up to `times`, in units of mu t.

    `record(t, state)` gets a state of the same type as in training. `options` are passed to
    `dynamics.integrate`: the solver, tolerances, and stopping conditions. With ReLU or another
    activation whose derivatives jump, more steps are needed, and an rtol below about 1e-5 does not
    reduce the error.

    Raises `ValueError` for the engine "history", whose memory has no time derivative.

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
    if simulation.engine == "history" and simulation.network.is_narrow:
        raise ValueError('a flow needs the engine "features": "history" stores discrete steps')
    field = BottleneckFlow.from_simulation(simulation)
    start = simulation.start()
    return integrate(
        field,
        (start.coefficients, start.memory),
        times,
        record=lambda t, state: record(t, eqx.filter_jit(field.state)(state)),
        **options,
    )

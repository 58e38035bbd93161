"""A network of finite width and its limit, to be trained on the same examples."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ceflow.bottlenecks import Batches, Rates, Simulation, WideNetwork, sample
from ceflow.claims.followed import Followed, Segments, follow, relative
from ceflow.claims.trial import Trial
from ceflow.dynamics import SquaredError
from ceflow.spec.models import SLOPES
from ceflow.spec.models.segmented import Segmented

RELATIVE_RATE = 0.01
"""Learning rate relative to the largest stable one; it is small, to approximate a flow."""


class Experiment(NamedTuple):
    """Examples, initial network, its simulation in function space, and learning rates."""

    x: Float[Array, "n inputs"]
    y: Float[Array, "n outputs"]
    initial: WideNetwork
    simulated: Simulation
    rate: float
    rates: Rates

    def descend(self, steps: int) -> Followed:
        """Train the network for `steps` steps on all examples."""
        return follow(Segments.from_network(self.initial), self.x, self.y, self.rates, steps)

    def errors(self, followed: Followed) -> Float[np.ndarray, " moments"]:
        """Compute relative errors of a network's outputs F against function space.

        The outputs are those before each step and after the last.
        """
        count, steps = len(self.x), len(followed.outputs) - 1
        training = self.simulated.train(
            self.rate,
            Batches(count, count),
            steps,
            record_at=range(steps + 1),
            record=lambda step, state: {"outputs": self.simulated.outputs(state)},
        )
        exact = training.history["outputs"]
        return relative(np.asarray(followed.outputs, float)[: len(exact)], exact)


def experiment(
    trial: Trial,
    network: Segmented,
    simulation: type[Simulation] = Simulation,
    rate_factors: Rates | None = None,
) -> Experiment:
    """Return an experiment at width n, with 1/100 of the largest stable learning rate.

    The engine of the simulation in function space is `features` if all decoders have one hidden
    layer without biases and a smooth activation, and otherwise `history`, with exact kernels.
    """
    x, y = trial.examples()
    initial = sample(network, *trial.sizes, trial.seed.fold("network"), width=trial.width)
    rate_factors = rate_factors or Rates(1.0, 1.0)
    shared = all(
        each.has_plain_decoder and each.wide_decoder.activation not in SLOPES
        for each in network.bottlenecks
    )
    engine = "features" if shared else "history"
    loss = SquaredError("sum")
    simulated = simulation(
        network, initial, x, y, loss=loss, engine=engine, rate_factors=rate_factors
    )
    rate = RELATIVE_RATE * simulated.largest_rate(Batches(len(x), len(x)))
    rates = Rates(*(jnp.asarray(rate * share, x.dtype) for share in rate_factors))
    return Experiment(x, y, initial, simulated, rate, rates)

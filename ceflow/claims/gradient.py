"""A network of finite width where it starts, and the slope of its loss."""

from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ceflow.bottlenecks import sample
from ceflow.claims.followed import Halves
from ceflow.claims.trial import Trial


class Start(NamedTuple):
    """`L = 1/2 |F - y|^2` at the start, chi = F - y, and the velocity of gradient flow."""

    network: Halves
    x: Float[Array, "n inputs"]
    chi: Float[Array, "n outputs"]
    velocity: Halves
    """`-dL/dw` and `-dL/dtheta`, where the network has its weights."""

    def outputs(self, weights: Any) -> Float[Array, "n outputs"]:
        """Compute the outputs of the network with other weights."""
        rest = eqx.filter(self.network, eqx.is_inexact_array, inverse=True)
        return jax.vmap(eqx.combine(weights, rest))(self.x)

    def rate(self, velocity: Any) -> Float[Array, "n outputs"]:
        """Compute `dF/dt` of weights that move so."""
        weights = eqx.filter(self.network, eqx.is_inexact_array)
        return jax.jvp(self.outputs, (weights,), (velocity,))[1]


def started(trial: Trial) -> Start:
    """Start a network of width n, on the trial's examples."""
    x, y = trial.examples()
    initial = sample(trial.bottleneck, *trial.sizes, trial.seed.fold("network"), width=trial.width)
    network = Halves.of(initial)
    weights = eqx.filter(network, eqx.is_inexact_array)
    start = Start(network, x, jnp.zeros_like(y), weights)
    outputs, back = jax.vjp(start.outputs, weights)
    chi = outputs - y
    (slopes,) = back(-chi)
    return start._replace(chi=chi, velocity=slopes)

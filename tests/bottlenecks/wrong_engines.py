"""Plain sums of eq. 42 to 44, and engines that look plausible and are wrong."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ceflow.bottlenecks import Rates, Simulation
from ceflow.bottlenecks.kernels.past import past_sums
from ceflow.bottlenecks.training.engines import Features, History, _appended
from ceflow.kernels import analytic
from ceflow.spec import Bottleneck
from ceflow.spec.models import SLOPES


def plain_kernels(x: np.ndarray, past: np.ndarray, network: Bottleneck) -> tuple[Any, Any]:
    """K and Xi as BN eq. 45 and 46 print them, for different points."""
    d, decoder = x.shape[1], network.wide_decoder
    size = np.linalg.norm(x, axis=1)[:, None] * np.linalg.norm(past, axis=1)
    product = x @ past.T
    cosine = (product / size).clip(-1, 1)
    slope = (np.pi - np.arccos(cosine)) / (2 * np.pi)
    sine = np.sqrt(1 - cosine**2)
    sigma = size / d * (cosine * slope + sine / (2 * np.pi))
    along = past / size[..., None] - (cosine / (x**2).sum(1)[:, None])[..., None] * x[:, None]
    xi = past / d * slope[..., None]
    xi = xi + (product / d / (2 * np.pi * sine))[..., None] * along
    xi = xi + (size / d * slope)[..., None] * along
    xi = xi + (sigma / (x**2).sum(1)[:, None])[..., None] * x[:, None]
    a = SLOPES[decoder.activation]
    ntk = (1 - a) ** 2 * (sigma + product / d * slope) + 2 * a * product / d
    scale = decoder.last_variance * decoder.weight_variance
    return scale * ntk, scale * ((1 - a) ** 2 * xi + 2 * a * past / d)


def plain_history(
    simulation: Simulation, rates: Rates, batches: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Outputs and points of all inputs after all steps, by plain sums over the past."""
    decoder, y = simulation.initial.decoder, np.asarray(simulation.y)
    theta = np.asarray(analytic(simulation.network.encoder, simulation.inputs).ntk)
    points, seen, chis = np.asarray(simulation.points), [], []

    def now(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        f, jacobian = np.asarray(decoder(x)), np.array(decoder.jacobian(jnp.asarray(x)))
        for past, chi in zip(seen, chis, strict=True):
            ntk, xi = plain_kernels(x, past, simulation.network)
            f = f - rates.decoder * ntk @ chi
            jacobian = jacobian - rates.decoder * np.einsum("so,bsd->bod", chi, xi)
        return f, jacobian

    for batch in batches:
        f, jacobian = now(points[batch])
        chi = np.asarray(simulation.loss.chi(jnp.asarray(f), jnp.asarray(y[batch])))
        pull = np.einsum("bod,bo->bd", jacobian, chi)
        seen, chis = [*seen, points[batch]], [*chis, chi]
        points = points - rates.encoder * theta[:, batch] @ pull
    return now(points)[0], points


class Frozen(History):
    """f_0 and J_0 left at g_0; of full batches."""

    points: Any = None

    def outputs(self, memory: Any, points: Array) -> Array:
        return self.decoder(self.points) - past_sums(self.network, points, memory).outputs

    def learn(self, memory: Any, points: Array, chi: Any, rate: Array) -> tuple[Any, ...]:
        sums, outputs = past_sums(self.network, points, memory), self.outputs(memory, points)
        jacobian, slope = self.decoder.jacobian(self.points) - sums.jacobian, chi(outputs)
        pull = jnp.einsum("bod,bo->bd", jacobian, slope)
        return _appended(memory, points, rate * slope), pull, outputs


class Linearised(Features):
    """The decoder to first order in its weights, differentiated by its points as it stands."""

    def outputs(self, memory: Any, points: Array) -> Array:
        def at(weights: tuple[Array, Array]) -> Array:
            return self.moved(weights)(points)

        value, change = jax.jvp(at, (self.start(),), (memory,))
        return value + change


class FrozenSimulation(Simulation):
    def _engine(self) -> Frozen:
        return Frozen(self.initial.decoder, self.network, self.points)


class LinearisedSimulation(Simulation):
    def _engine(self) -> Linearised:
        return Linearised(self.initial.decoder)

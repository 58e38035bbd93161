"""Plain sums of eq. 42 to 44, and engines that look plausible and are wrong."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from ceflow.bottlenecks import Rates, Simulation
from ceflow.bottlenecks.kernels.past import past_sums
from ceflow.bottlenecks.training.engines import Features, History, Seen
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
    """Outputs, and points of all inputs in the first bottleneck, after all steps, by plain sums
    over the past; in a chain each decoder has one of its own."""
    decoders, y = simulation.initial.decoder.sequence, np.asarray(simulation.y)
    networks = simulation.network.bottlenecks
    theta = np.asarray(analytic(networks[0].encoder, simulation.inputs).ntk)
    points, pasts = np.asarray(simulation.points), [[] for _ in decoders]

    def now(x: np.ndarray) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        found = []
        for decoder, network, past in zip(decoders, networks, pasts, strict=True):
            f, jacobian = np.asarray(decoder(x)), np.array(decoder.jacobian(jnp.asarray(x)))
            for seen, error in past:
                ntk, xi = plain_kernels(x, seen, network)
                f = f - rates.decoder * ntk @ error
                jacobian = jacobian - rates.decoder * np.einsum("so,bsd->bod", error, xi)
            found.append((x, f, jacobian))
            x = f
        return found

    for batch in batches:
        seen = now(points[batch])
        error = np.asarray(simulation.loss.chi(jnp.asarray(seen[-1][1]), jnp.asarray(y[batch])))
        for past, (x, _, jacobian) in zip(reversed(pasts), reversed(seen), strict=True):
            past.append((x, error))
            error = np.einsum("bod,bo->bd", jacobian, error)
        points = points - rates.encoder * theta[:, batch] @ error
    return now(points)[-1][1], points


class Frozen(History):
    """f_0 and J_0 left at g_0; of full batches."""

    points: Any = None

    def outputs(self, memory: Any, points: Array) -> Array:
        (network,), (past,) = self.bottlenecks, memory
        return self.decoder(self.points) - past_sums(network, points, past).outputs

    def seen(self, memory: Any, points: Array) -> tuple[Seen, ...]:
        (network,), (past,) = self.bottlenecks, memory
        jacobian = self.decoder.jacobian(self.points) - past_sums(network, points, past).jacobian
        return (Seen(points, self.outputs(memory, points), jacobian),)


class Linearised(Features):
    """The decoder to first order in its weights, differentiated by its points as it stands."""

    def outputs(self, memory: Any, points: Array) -> Array:
        def at(weights: tuple[Array, Array]) -> Array:
            return self.moved(weights)(points)

        value, change = jax.jvp(at, (self.start(),), (memory,))
        return value + change


class FrozenSimulation(Simulation):
    def _engine(self) -> Frozen:
        return Frozen(self.initial.decoder, self.network.bottlenecks, self.points)


class LinearisedSimulation(Simulation):
    def _engine(self) -> Linearised:
        return Linearised(self.initial.decoder)

"""Engines: representations of the decoder in training, each with its own memory."""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from ceflow.bottlenecks.costs import PAST_AT_ONCE
from ceflow.bottlenecks.decoders import Decoder
from ceflow.bottlenecks.kernels.past import Past, past_sums
from ceflow.spec import Bottleneck

Chi = Callable[[Float[Array, "b outputs"]], Float[Array, "b outputs"]]
"""A function from outputs to the derivative of the loss by them."""


class Engine(eqx.Module):
    """A decoder in training, evaluated at moving points."""

    @abstractmethod
    def start(self) -> PyTree:
        """Return the initial memory."""

    @abstractmethod
    def outputs(self, memory: PyTree, points: Float[Array, "b d"]) -> Float[Array, "b outputs"]:
        """Compute the outputs `f_t(points)`."""

    @abstractmethod
    def jacobian(self, memory: PyTree, points: Float[Array, "b d"]) -> Float[Array, "b outputs d"]:
        """Compute the Jacobian `J_t(points)`."""

    @abstractmethod
    def learn(
        self, memory: PyTree, points: Float[Array, "b d"], chi: Chi, rate: Float[Array, ""]
    ) -> tuple[PyTree, Float[Array, "b d"], Float[Array, "b outputs"]]:
        """Take a step of gradient descent.

        Returns the memory after the step, and `J^T chi` and the outputs before it.
        """

    def room(self, memory: PyTree, examples: int) -> PyTree:
        """Return the memory with room for `examples` more examples."""
        return memory


class Markovian(Engine):
    """An engine whose memory has a fixed size and a time derivative."""

    @abstractmethod
    def gradients(
        self, memory: PyTree, points: Float[Array, "b d"], chi: Chi
    ) -> tuple[Float[Array, "b outputs"], PyTree, Float[Array, "b d"]]:
        """Compute the outputs, the loss's derivative by the memory, and `J^T chi`."""

    def learn(self, memory: PyTree, points: Array, chi: Chi, rate: Array) -> tuple[Any, ...]:
        outputs, change, pull = self.gradients(memory, points, chi)
        return jax.tree.map(lambda m, c: m - rate * c, memory, change), pull, outputs


class Features(Markovian):
    """A wide sampled decoder whose weights move, its gradients exact; the memory is their changes.

    A step costs O(n d), however many came before, and O(n^2) for each further hidden layer. The
    error is of order n^-1/2. The decoder is not linearised: the second term of Xi, from the
    derivative of a ReLU's mask, arises as weights move through the kink.
    """

    decoder: Decoder

    def start(self) -> tuple[Array, ...]:
        return tuple(map(jnp.zeros_like, jax.tree.leaves(self.decoder)))

    def outputs(self, memory: PyTree, points: Array) -> Array:
        return self.moved(memory)(points)

    def jacobian(self, memory: PyTree, points: Array) -> Array:
        return self.moved(memory).jacobian(points)

    def gradients(self, memory: PyTree, points: Array, chi: Chi) -> tuple[Array, PyTree, Array]:
        outputs, back = jax.vjp(self.outputs, memory, points)
        return (outputs, *back(chi(outputs)))

    def moved(self, memory: tuple[Array, ...]) -> Decoder:
        """Return the decoder with changed weights, such as `u + du` and `v + dv`.

        Changes are stored separately, so that small ones are summed accurately.
        """
        weights, structure = jax.tree.flatten(self.decoder)
        return jax.tree.unflatten(structure, map(jnp.add, weights, memory))


class Identity(Markovian):
    """No decoder: the points are the outputs, for an infinite bottleneck with its single kernel."""

    def start(self) -> Array:
        return jnp.zeros(0)

    def outputs(self, memory: PyTree, points: Array) -> Array:
        return points

    def jacobian(self, memory: PyTree, points: Array) -> Array:
        unit = jnp.eye(points.shape[1], dtype=points.dtype)
        return jnp.broadcast_to(unit, (len(points), *unit.shape))

    def gradients(self, memory: PyTree, points: Array, chi: Chi) -> tuple[Array, PyTree, Array]:
        return points, memory, chi(points)


class History(Engine):
    """A decoder from exact kernels over the whole past (BN eq. 43 and 44).

    `f_t(x) = f_0(x) - mu sum_s K(x, g_s) chi_s`, with f_0 and J_0 those of a sampled decoder,
    evaluated at the current points. A step costs as many pairs as there are past examples, times
    the batch size.
    """

    decoder: Decoder
    network: Bottleneck = eqx.field(static=True)

    def start(self) -> Past:
        (d, outputs), dtype = self.decoder.ends, self.decoder.dtype
        return Past(
            jnp.zeros((PAST_AT_ONCE, d), dtype),
            jnp.zeros((PAST_AT_ONCE, outputs), dtype),
            jnp.zeros((), int),
        )

    def outputs(self, memory: Past, points: Array) -> Array:
        return self.decoder(points) - past_sums(self.network, points, memory).outputs

    def jacobian(self, memory: Past, points: Array) -> Array:
        return self.decoder.jacobian(points) - past_sums(self.network, points, memory).jacobian

    def learn(self, memory: Past, points: Array, chi: Chi, rate: Array) -> tuple[Any, ...]:
        sums = past_sums(self.network, points, memory)
        outputs = self.decoder(points) - sums.outputs
        jacobian = self.decoder.jacobian(points) - sums.jacobian
        slope = chi(outputs)
        pull = jnp.einsum("bod,bo->bd", jacobian, slope)
        return _appended(memory, points, rate * slope), pull, outputs

    def room(self, memory: Past, examples: int) -> Past:
        """Enlarge the buffers by doubling, so that few sizes are compiled; unused rows are 0."""
        size = needed = len(memory.chi)
        while needed < int(memory.count) + examples:
            needed *= 2
        if needed == size:
            return memory
        points, chi = (jnp.pad(each, [(0, needed - size), (0, 0)]) for each in memory[:2])
        return Past(points, chi, memory.count)


def _appended(past: Past, points: Array, chi: Array) -> Past:
    """Append points, with `mu chi` in place of chi, as rates may change."""
    at = past.count
    write = jax.lax.dynamic_update_slice_in_dim
    return Past(write(past.points, points, at, 0), write(past.chi, chi, at, 0), at + len(points))

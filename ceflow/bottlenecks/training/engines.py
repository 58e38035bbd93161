"""Engines: representations of the decoders in training, each with its own memory."""

from abc import abstractmethod
from collections.abc import Callable
from functools import reduce
from typing import Any, NamedTuple

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


class Seen(NamedTuple):
    """Holds what a decoder does at points of its bottleneck: the outputs, which are the points of
    the next one, and the Jacobian."""

    points: Float[Array, "b d"]
    outputs: Float[Array, "b outputs"]
    jacobian: Float[Array, "b outputs d"]


class Engine(eqx.Module):
    """The decoders in training after one or more bottlenecks, evaluated at moving points of the
    first.
    """

    @abstractmethod
    def start(self) -> PyTree:
        """Return the initial memory."""

    @abstractmethod
    def outputs(self, memory: PyTree, points: Float[Array, "b d"]) -> Float[Array, "b outputs"]:
        """Compute the outputs `f_t(points)`."""

    @abstractmethod
    def seen(self, memory: PyTree, points: Float[Array, "b d"]) -> tuple[Seen, ...]:
        """Compute the outputs and Jacobians of the decoders, first to last."""

    def jacobian(self, memory: PyTree, points: Float[Array, "b d"]) -> Float[Array, "b outputs d"]:
        """Compute the Jacobian `J_t(points)` of all decoders together."""
        return reduce(after, (each.jacobian for each in self.seen(memory, points)))

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


def after(first: Any, then: Any) -> Any:
    """Compute the Jacobians (b, outputs, d) of two functions in sequence from those of each."""
    return then @ first


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
    """Wide sampled decoders whose weights move, gradients exact; the memory is their changes.

    A step costs O(n d), however many came before, and O(n^2) for each further hidden layer. The
    error is of order n^-1/2. A decoder is not linearised: the second term of Xi, from the
    derivative of a ReLU's mask, arises as weights move through the kink.
    """

    decoder: Decoder

    def start(self) -> tuple[Array, ...]:
        return tuple(map(jnp.zeros_like, jax.tree.leaves(self.decoder)))

    def outputs(self, memory: PyTree, points: Array) -> Array:
        return self.moved(memory)(points)

    def seen(self, memory: PyTree, points: Array) -> tuple[Seen, ...]:
        found = []
        for decoder in self.moved(memory).sequence:
            outputs = decoder(points)
            found.append(Seen(points, outputs, decoder.jacobian(points)))
            points = outputs
        return tuple(found)

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

    def seen(self, memory: PyTree, points: Array) -> tuple[Seen, ...]:
        unit = jnp.eye(points.shape[1], dtype=points.dtype)
        return (Seen(points, points, jnp.broadcast_to(unit, (len(points), *unit.shape))),)

    def gradients(self, memory: PyTree, points: Array, chi: Chi) -> tuple[Array, PyTree, Array]:
        return points, memory, chi(points)


class History(Engine):
    """Decoders from exact kernels over the whole past (BN eq. 43 and 44); the memory has a past for
    each.

    `f_t(x) = f_0(x) - mu sum_s K(x, g_s) chi_s`, with f_0 and J_0 those of a sampled decoder,
    evaluated at the current points. In a chain, chi is the error at the outputs of the decoder, the
    loss's derivative by them, which comes back through the Jacobians `J_t` of the decoders after
    it. A step costs as many pairs as there are past examples, times the batch size.
    """

    decoder: Decoder
    bottlenecks: tuple[Bottleneck, ...] = eqx.field(static=True)
    """The bottleneck before each decoder."""

    def start(self) -> tuple[Past, ...]:
        dtype = self.decoder.dtype
        return tuple(
            Past(
                jnp.zeros((PAST_AT_ONCE, decoder.ends[0]), dtype),
                jnp.zeros((PAST_AT_ONCE, decoder.ends[1]), dtype),
                jnp.zeros((), int),
            )
            for decoder in self.decoder.sequence
        )

    def outputs(self, memory: tuple[Past, ...], points: Array) -> Array:
        for decoder, network, past in self._each(memory):
            points = decoder(points) - past_sums(network, points, past).outputs
        return points

    def seen(self, memory: tuple[Past, ...], points: Array) -> tuple[Seen, ...]:
        found = []
        for decoder, network, past in self._each(memory):
            sums = past_sums(network, points, past)
            outputs = decoder(points) - sums.outputs
            found.append(Seen(points, outputs, decoder.jacobian(points) - sums.jacobian))
            points = outputs
        return tuple(found)

    def learn(
        self, memory: tuple[Past, ...], points: Array, chi: Chi, rate: Array
    ) -> tuple[Any, ...]:
        seen, learned = self.seen(memory, points), []
        slope = chi(seen[-1].outputs)
        for past, each in zip(reversed(memory), reversed(seen), strict=True):
            learned.append(_appended(past, each.points, rate * slope))
            slope = jnp.einsum("bod,bo->bd", each.jacobian, slope)
        return tuple(reversed(learned)), slope, seen[-1].outputs

    def room(self, memory: tuple[Past, ...], examples: int) -> tuple[Past, ...]:
        return tuple(_enlarged(past, examples) for past in memory)

    def _each(self, memory: tuple[Past, ...]) -> "zip[tuple[Decoder, Bottleneck, Past]]":
        return zip(self.decoder.sequence, self.bottlenecks, memory, strict=True)


def _enlarged(past: Past, examples: int) -> Past:
    """Enlarge the buffers by doubling, so that few sizes are compiled; unused rows are 0."""
    size = needed = len(past.chi)
    while needed < int(past.count) + examples:
        needed *= 2
    if needed == size:
        return past
    points, chi = (jnp.pad(each, [(0, needed - size), (0, 0)]) for each in past[:2])
    return Past(points, chi, past.count)


def _appended(past: Past, points: Array, chi: Array) -> Past:
    """Append points, with `mu chi` in place of chi, as rates may change."""
    at = past.count
    write = jax.lax.dynamic_update_slice_in_dim
    return Past(write(past.points, points, at, 0), write(past.chi, chi, at, 0), at + len(points))

"""Decoders of finite width n, whose functions are the initial functions of infinitely wide ones."""

import math
from abc import abstractmethod
from collections.abc import Callable, Sequence
from itertools import pairwise

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ceflow.bottlenecks.sampling import Features, normal_rows
from ceflow.nets import ACTIVATIONS, floats
from ceflow.seeding import Seed
from ceflow.spec import Bottleneck, Mlp


class Decoder(eqx.Module):
    """A function f from one or many points in a bottleneck to outputs; its leaves are weights."""

    @property
    @abstractmethod
    def ends(self) -> tuple[int, int]:
        """Numbers of inputs and outputs."""

    @abstractmethod
    def __call__(self, points: Float[ArrayLike, "*b d"]) -> Float[Array, "*b outputs"]:
        """Compute the outputs."""

    def jacobian(self, points: Float[Array, "b d"]) -> Float[Array, "b outputs d"]:
        """Compute the Jacobian `J(x) = df/dx`; memory holds b outputs numbers per hidden unit."""
        _, back = jax.vjp(self, points)
        unit = jnp.eye(self.ends[1], dtype=points.dtype)
        seeds = jnp.broadcast_to(unit[:, None], (len(unit), len(points), len(unit)))
        return jax.vmap(back)(seeds)[0].swapaxes(0, 1)

    @property
    def dtype(self) -> jnp.dtype:
        """Type of the weights."""
        return jax.tree.leaves(self)[0].dtype

    @property
    def sequence(self) -> "tuple[Decoder, ...]":
        """The decoders after each bottleneck, first to last."""
        return (self,)


class WideDecoder(Decoder):
    """The decoder `f(x) = sqrt(b/n) v phi(sqrt(c/d) u x)` (BN eq. 1), for one or many points x."""

    u: Float[Array, "n d"]
    v: Float[Array, "outputs n"]
    activation: Callable[[Array], Array] = eqx.field(static=True)
    weight_variance: float = eqx.field(static=True)
    last_variance: float = eqx.field(static=True)

    @classmethod
    def from_weights(
        cls, model: Mlp, u: Float[Array, "n d"], v: Float[Array, "outputs n"]
    ) -> "WideDecoder":
        """Create a decoder from weights, with the model's activation and variances."""
        activation = ACTIVATIONS[model.activation]
        return cls(u, v, activation, model.weight_variance, model.last_variance)

    @property
    def ends(self) -> tuple[int, int]:
        return self.u.shape[1], self.v.shape[0]

    @property
    def scales(self) -> tuple[float, float]:
        """Scales `sqrt(c/d)` and `sqrt(b/n)` of the two layers."""
        n, d = self.u.shape
        return math.sqrt(self.weight_variance / d), math.sqrt(self.last_variance / n)

    def __call__(self, points: Float[ArrayLike, "*b d"]) -> Float[Array, "*b outputs"]:
        first, last = self.scales
        return last * self.activation(first * (floats(points, self.u.dtype) @ self.u.T)) @ self.v.T

    def jacobian(self, points: Float[Array, "b d"]) -> Float[Array, "b outputs d"]:
        """Compute the Jacobian `J(x) = df/dx` (BN eq. 15); memory holds b outputs n numbers."""
        first, last = self.scales
        before = first * (floats(points, self.u.dtype) @ self.u.T)
        slope = jax.jvp(self.activation, (before,), (jnp.ones_like(before),))[1]
        return first * last * ((slope[:, None] * self.v) @ self.u)


class DeepDecoder(Decoder):
    """A decoder of any number of hidden layers, with biases unless their variance is 0."""

    weights: tuple[Float[Array, "outputs inputs"], ...]
    biases: tuple[Float[Array, " outputs"], ...]
    activation: Callable[[Array], Array] = eqx.field(static=True)
    variances: tuple[float, ...] = eqx.field(static=True)
    """Weight variances of the layers."""
    bias_variance: float = eqx.field(static=True)

    @property
    def ends(self) -> tuple[int, int]:
        return self.weights[0].shape[1], self.weights[-1].shape[0]

    def __call__(self, points: Float[ArrayLike, "*b d"]) -> Float[Array, "*b outputs"]:
        values = floats(points, self.weights[0].dtype)
        for layer, (weight, variance) in enumerate(zip(self.weights, self.variances, strict=True)):
            values = self.activation(values) if layer else values
            values = math.sqrt(variance / weight.shape[1]) * (values @ weight.T)
            if self.biases:
                values = values + math.sqrt(self.bias_variance) * self.biases[layer]
        return values


class DecoderChain(Decoder):
    """Decoders in sequence, with a bottleneck before each."""

    decoders: tuple[Decoder, ...]

    @property
    def ends(self) -> tuple[int, int]:
        return self.decoders[0].ends[0], self.decoders[-1].ends[1]

    def __call__(self, points: Float[ArrayLike, "*b d"]) -> Float[Array, "*b outputs"]:
        for decoder in self.decoders:
            points = decoder(points)
        return jnp.asarray(points)

    @property
    def sequence(self) -> tuple[Decoder, ...]:
        return self.decoders


def drawn(
    networks: Sequence[Bottleneck],
    sizes: Sequence[int],
    seed: Seed,
    *,
    width: int,
    features: Features,
) -> Decoder:
    """Draw the decoders after some bottlenecks in sequence, with n = `width` units in every hidden
    layer; `sizes` are the numbers of units of the bottlenecks, and of the outputs.

    `features` is for the first layer of each.
    """
    seeds = [seed, *(seed.fold("segments").fold(index) for index in range(1, len(networks)))]
    decoders = [
        _drawn(network, *ends, own, width=width, features=features)
        for network, ends, own in zip(networks, pairwise(sizes), seeds, strict=True)
    ]
    return decoders[0] if len(decoders) == 1 else DecoderChain(tuple(decoders))


def _drawn(
    network: Bottleneck, size: int, outputs: int, seed: Seed, *, width: int, features: Features
) -> Decoder:
    """Draw the decoder of a network after `size` units of its bottleneck."""
    model = network.wide_decoder
    first = normal_rows(features, width, size, seed.fold("u"))
    last = normal_rows("iid", outputs, width, seed.fold("v"))
    if network.has_plain_decoder:
        return WideDecoder.from_weights(model, first, last)
    inner = [
        normal_rows("iid", width, width, seed.fold("hidden").fold(layer))
        for layer in range(1, len(model.widths))
    ]
    weights = (first, *inner, last)
    biases = [
        normal_rows("iid", len(weight), 1, seed.fold("biases").fold(layer))[:, 0]
        for layer, weight in enumerate(weights)
        if model.bias_variance
    ]
    variances = (*[model.weight_variance] * len(model.widths), model.last_variance)
    activation = ACTIVATIONS[model.activation]
    return DeepDecoder(weights, tuple(biases), activation, variances, model.bias_variance)

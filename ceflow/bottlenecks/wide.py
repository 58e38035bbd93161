"""Wide finite networks with a bottleneck.

Their functions are the initial functions of infinitely wide networks.
"""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, ArrayLike, Float

from ceflow._numbers import require_count
from ceflow.bottlenecks.costs import OUTPUTS_AT_ONCE, SAMPLED_SIZE
from ceflow.bottlenecks.network import limit_of
from ceflow.bottlenecks.sampling import Features, normal_rows
from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.kernels.pieces import by_chunks
from ceflow.nets import ACTIVATIONS, Dense, examples, floats
from ceflow.seeding import Seed, partitionable
from ceflow.spec import Bottleneck, Mlp


class WideDecoder(eqx.Module):
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


class WideNetwork(eqx.Module):
    """A network `F = f o g` of finite width n that takes batches of examples.

    It provides the initial functions g_0, f_0 and J_0. Raises `ValueError` for inputs that are not
    a batch of finite numbers of the right length.
    """

    encoder: Any
    decoder: WideDecoder

    def embed(self, x: Float[ArrayLike, "b inputs"]) -> Float[Array, "b d"]:
        """Compute the values g(x) in the bottleneck."""
        inputs = _dense(self.encoder)[0].weight.shape[1]
        return _embedded(self.encoder, examples("inputs", x, (inputs,), self.decoder.u.dtype))

    def decode(self, points: Float[ArrayLike, "b d"]) -> Float[Array, "b outputs"]:
        """Compute the outputs f(g) of points in the bottleneck."""
        size = self.decoder.u.shape[1]
        return _decoded(self.decoder, examples("points", points, (size,), self.decoder.u.dtype))

    def __call__(self, x: Float[ArrayLike, "b inputs"]) -> Float[Array, "b outputs"]:
        return self.decode(self.embed(x))


@eqx.filter_jit
def _embedded(encoder: Any, x: Float[Array, "b inputs"]) -> Float[Array, "b d"]:
    return by_chunks(jax.vmap(encoder), x, OUTPUTS_AT_ONCE)


@eqx.filter_jit
def _decoded(decoder: WideDecoder, points: Float[Array, "b d"]) -> Float[Array, "b outputs"]:
    return by_chunks(decoder, points, OUTPUTS_AT_ONCE)


@partitionable()
def sample(
    network: Bottleneck,
    inputs: int,
    outputs: int,
    seed: Seed,
    *,
    width: int = 10_000,
    features: Features = "iid",
) -> WideNetwork:
    """Draw a network with n = `width` units in every hidden layer, and standard normal weights.

    `features` tells how to draw the weight rows in the first layers of encoder and decoder (see
    `normal_rows`): orthogonal and quasi-random rows bring the kernels of the sampled network nearer
    to their limits. Other weights are independent, so that the distributions of g_0 and f_0 do not
    change. Weights are reproducible from the seed, and each layer's are independent of the other
    layers. An infinite bottleneck is sampled with 1,000 units.

    Raises `ValueError` for inputs, outputs or a width below 1, or a width below the size of the
    bottleneck.

    >>> from ceflow.spec import Bottleneck
    >>> from ceflow.bottlenecks import relu
    >>> net = sample(Bottleneck(size=3, encoder=relu(), decoder=relu()), 4, 2, Seed(0), width=50)
    >>> x = jnp.ones((5, 4))
    >>> net.embed(x).shape, net(x).shape, net.decoder.jacobian(net.embed(x)).shape
    ((5, 3), (5, 2), (5, 2, 3))
    """
    for name, count in (("inputs", inputs), ("outputs", outputs), ("width", width)):
        require_count(name, count)
    network = limit_of(network)
    size = int(network.size) if network.size < math.inf else SAMPLED_SIZE
    if network.size < math.inf and width < size:
        raise ValueError(
            f"a bottleneck of {size} units needs a network at least as wide around it, not of"
            f" width {width}: its kernels would be far from their limits"
        )
    return WideNetwork(
        _encoder(network, inputs, size, width, features, seed.fold("encoder")),
        WideDecoder.from_weights(
            network.decoder,
            normal_rows(features, width, size, seed.fold("u")),
            normal_rows("iid", outputs, width, seed.fold("v")),
        ),
    )


def _encoder(
    network: Bottleneck, inputs: int, size: int, width: int, features: Features, seed: Seed
) -> Any:
    model = network.encoder.with_widths((width,) * len(network.encoder.widths))
    module: Any = lower(expand(model.sized(inputs=inputs, outputs=size)), seed.jax())
    if features == "iid":
        return module
    first = normal_rows(features, width, inputs, seed.fold("features"))
    return eqx.tree_at(lambda whole: _dense(whole)[0].weight, module, first)


def _dense(module: Any) -> list[Dense]:
    """List the dense layers of a module, first to last."""
    leaves = jax.tree.leaves(module, is_leaf=lambda leaf: isinstance(leaf, Dense))
    return [leaf for leaf in leaves if isinstance(leaf, Dense)]

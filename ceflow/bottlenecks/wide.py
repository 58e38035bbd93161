"""Wide finite networks with a bottleneck.

Their functions are the initial functions of infinitely wide networks.
"""

import math
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, ArrayLike, Float

from ceflow._numbers import require_count
from ceflow.bottlenecks.costs import OUTPUTS_AT_ONCE, SAMPLED_SIZE, images_at_once
from ceflow.bottlenecks.decoders import Decoder, drawn
from ceflow.bottlenecks.network import limit_of
from ceflow.bottlenecks.sampling import Features, normal_rows
from ceflow.compiler import nodes
from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.kernels.empirical.convolutions import lowered
from ceflow.kernels.pieces import by_chunks
from ceflow.nets import examples
from ceflow.seeding import Seed, full_products, partitionable
from ceflow.spec import Bottleneck
from ceflow.spec.models.segmented import Segmented


class WideNetwork(eqx.Module):
    """A network `F = f o g` of finite width n that takes batches of examples. In a chain, f are the
    decoders after all bottlenecks.

    It provides the initial functions g_0, f_0 and J_0. Raises `ValueError` for inputs that are not
    a batch of finite numbers of the right length.
    """

    encoder: Any
    decoder: Decoder
    inputs: tuple[int, ...] = eqx.field(static=True)
    """Shape of an example."""

    @property
    def size(self) -> int | tuple[int, ...]:
        """Number of inputs, or the shape of images."""
        return self.inputs if len(self.inputs) > 1 else math.prod(self.inputs)

    @full_products()
    def embed(self, x: Float[ArrayLike, "b ..."]) -> Float[Array, "b d"]:
        """Compute the values g(x) in the bottleneck."""
        x = examples("inputs", x, self.inputs, self.decoder.dtype)
        return _embedded(self.encoder, x, images_at_once(self.inputs))

    @full_products()
    def decode(self, points: Float[ArrayLike, "b d"]) -> Float[Array, "b outputs"]:
        """Compute the outputs f(g) of points in the bottleneck."""
        size, _ = self.decoder.ends
        return _decoded(self.decoder, examples("points", points, (size,), self.decoder.dtype))

    def __call__(self, x: Float[ArrayLike, "b ..."]) -> Float[Array, "b outputs"]:
        return self.decode(self.embed(x))


@eqx.filter_jit
def _embedded(encoder: Any, x: Float[Array, "b ..."], count: int) -> Float[Array, "b d"]:
    return by_chunks(lowered(jax.vmap(encoder)), x, count)


@eqx.filter_jit
def _decoded(decoder: Decoder, points: Float[Array, "b d"]) -> Float[Array, "b outputs"]:
    return by_chunks(decoder, points, OUTPUTS_AT_ONCE)


@partitionable()
def sample(
    network: Segmented,
    inputs: int | tuple[int, int, int],
    outputs: int,
    seed: Seed,
    *,
    width: int = 10_000,
    features: Features = "iid",
) -> WideNetwork:
    """Draw a network with n = `width` units in every hidden layer, and standard normal weights.

    `inputs` is the number of inputs, or the channels, height and width of images. `features` tells
    how to draw the weight rows in the first layers of encoder and decoders (see `normal_rows`), if
    these are dense layers or convolutions: orthogonal and quasi-random rows bring the kernels of
    the sampled network nearer to their limits. Other weights are independent, so that the
    distributions of g_0 and f_0 do not change. Weights are reproducible from the seed, and each
    layer's are independent of the other layers. An infinite bottleneck is sampled with 1,000
    units. Between two hidden layers, there are n^2 weights.

    Raises `ValueError` for inputs, outputs or a width below 1, or a width below the size of the
    bottleneck.

    >>> import jax.numpy as jnp
    >>> from ceflow.spec import Bottleneck
    >>> from ceflow.bottlenecks import relu
    >>> net = sample(Bottleneck(size=3, encoder=relu(), decoder=relu()), 4, 2, Seed(0), width=50)
    >>> x = jnp.ones((5, 4))
    >>> net.embed(x).shape, net(x).shape, net.decoder.jacobian(net.embed(x)).shape
    ((5, 3), (5, 2), (5, 2, 3))
    """
    shape = inputs if isinstance(inputs, tuple) else (inputs,)
    for name, count in (*(("inputs", n) for n in shape), ("outputs", outputs), ("width", width)):
        require_count(name, count)
    network = limit_of(network)
    first, given = network.bottlenecks[0], network.between
    sizes = [int(size) if size < math.inf else SAMPLED_SIZE for size in given]
    size = max(sizes)
    if network.is_narrow and width < size:
        raise ValueError(
            f"a bottleneck of {size} units needs a network at least as wide around it, not of"
            f" width {width}: its kernels would be far from their limits"
        )
    return WideNetwork(
        _encoder(first, inputs, sizes[0], width, features, seed.fold("encoder")),
        drawn(network.bottlenecks, [*sizes, outputs], seed, width=width, features=features),
        shape,
    )


def _encoder(
    network: Bottleneck, inputs: Any, size: int, width: int, features: Features, seed: Seed
) -> Any:
    model = network.encoder.at_width(width)
    root = expand(model.sized(inputs=inputs, outputs=size))
    module: Any = lower(root, seed.jax())
    if features == "iid" or not _begins_in_rows(root):
        return module
    weight = module.layers[0].weight
    count = len(weight)
    rows = normal_rows(features, count, weight.size // count, seed.fold("features"))
    return eqx.tree_at(lambda whole: whole.layers[0].weight, module, rows.reshape(weight.shape))


def _begins_in_rows(root: nodes.Node) -> bool:
    """Tell whether the first layer has standard normal weights, in a row for each of its units."""
    first = root.layers[0] if isinstance(root, nodes.Chain) else root
    return isinstance(first, nodes.Dense | nodes.Convolution) and first.starts_normal

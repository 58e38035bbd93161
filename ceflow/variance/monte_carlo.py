"""Draws of an NTK entry of any MLP by drawing all of its weights."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from ceflow.compiler import nodes
from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.kernels import empirical_ntk
from ceflow.seeding import Seed
from ceflow.spec import Mlp
from ceflow.variance.chunks import chunk_size


def draw_ntk(
    model: Mlp, inputs: int, draws: int, seed: Seed, *, diagonal: bool = True
) -> Iterator[Float[np.ndarray, " chunk"]]:
    """Draws of `K^aa(x, x')` for random weights, chunk by chunk, `draws` in all.

    x is one standard normal vector scaled to |x|^2 = inputs, x' is x, or, off the diagonal, another
    such. Chunks are of a size fixed by the model and `draws`, and keyed by their index, so a
    chunk's numbers depend on nothing else but the seed.
    """
    root = expand(model, inputs, 1)
    x1, x2 = _inputs(inputs, seed, diagonal)
    size = chunk_size(root.parameters, draws)
    for index in range(-(-draws // size)):
        keys = jax.random.split(seed.fold(index).jax(), size)
        yield np.asarray(_chunk(root, keys, x1, x2))[: draws - index * size]


def _inputs(inputs: int, seed: Seed, diagonal: bool) -> tuple[Array, Array]:
    drawn = jnp.asarray(seed.fold("inputs").numpy().standard_normal((2, inputs)))
    x1, x2 = drawn * jnp.sqrt(inputs / (drawn**2).sum(axis=1, keepdims=True))
    return x1, x1 if diagonal else x2


@eqx.filter_jit
def _chunk(root: nodes.Node, keys: Key[Array, " chunk"], x1: Array, x2: Array) -> Array:
    def draw(key: Array) -> Array:
        return empirical_ntk(lower(root, key), x1[None], x2[None], trace=True)[0, 0]

    return jax.vmap(draw)(keys)

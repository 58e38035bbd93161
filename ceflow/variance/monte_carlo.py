"""Draws of an NTK entry of any network, by drawing all its weights (CE Algorithm 1)."""

import math
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Key

from ceflow._numbers import require_count
from ceflow.compiler.lowering import lower, lower_each
from ceflow.compiler.models import expand
from ceflow.compiler.nodes import BatchNorm, Node, by_products, centre, every, values
from ceflow.compiler.programs import program
from ceflow.kernels import empirical_ntk
from ceflow.nets import floats
from ceflow.seeding import Seed, partitionable
from ceflow.spec import Block, Ensemble, Mlp, Model, NetworkMember
from ceflow.variance.costs import chunk_size

Network = Callable[[Key[Array, ""]], eqx.Module]
"""A function that creates a network, with weights drawn from a key."""

Networks = Callable[[Key[Array, " chunk"]], Any]
"""A function that creates several networks, stacked, from an array of keys."""

SMALL_CHUNK_WEIGHTS = 2**19
"""Largest number of weights of a chunk whose program is compiled without optimisation, as it runs
a few times only."""


def draw_ntk(
    network: Network | Mlp | Ensemble | Block | NetworkMember,
    x1: Float[ArrayLike, "..."],
    x2: Float[ArrayLike, "..."] | None = None,
    *,
    draws: int,
    seed: Seed | int = 0,
    output: int = 0,
) -> Iterator[Float[np.ndarray, " chunk"]]:
    """Draw `K^aa(x1, x2)` for random weights, chunk by chunk, `draws` in all; a is `output`.

    x1 and x2 are single examples; by default x2 is x1. `network` is a function that creates a
    module with random weights from a key, or a model, of which one output is built. The size of
    chunks depends only on the number of parameters and `draws`, and a chunk's random numbers only
    on its index and the seed. One program is compiled for all chunks.

    Raises `ValueError` for fewer than one draw, an output that does not exist, a draw that is not
    finite, and all that `empirical_ntk` refuses.

    >>> from ceflow.nets import Dense
    >>> dense = lambda key: Dense(3, 2, weight_variance=3.0, key=key)
    >>> print(*draw_ntk(dense, jnp.ones(3), draws=4))   # c/fan_in |x|^2, whatever the weights
    [3. 3. 3. 3.]
    """
    require_count("draws", draws)
    stream, passing = seed if isinstance(seed, Seed) else Seed(seed), 0.0
    x1, x2 = _example("x1", x1), None if x2 is None else _example("x2", x2)
    if callable(network):
        build: Networks = partial(_each, network)
        parameters, outputs = _sizes(build, x1)
        chosen = output
    else:
        root = _tree(network, x1)
        build, parameters, passing = _builder(root), int(root.parameters), values(root)
        outputs = network.size_of("outputs") or 1
        chosen = centre(root.outputs)  # the tree's outputs have the same law
    if not 0 <= output < outputs:
        raise ValueError(f"there is no output {output}: the network has {outputs}, from 0")
    size = chunk_size(parameters, draws, passing)
    return _chunks(build, x1, x2, draws, stream, chosen, size)


def _example(name: str, x: ArrayLike) -> Float[Array, "..."]:
    """Convert one example to JAX's default float type; raise `ValueError` if it is not one."""
    x = floats(x).astype(float)
    if not x.size:
        raise ValueError(f"{name} must be one example, not of shape {x.shape}")
    if not np.isfinite(np.asarray(x)).all():
        raise ValueError(f"{name} holds NaN or infinity; mend it or take another example")
    return x


@eqx.filter_jit
def _each(network: Network, keys: Key[Array, " chunk"]) -> Any:
    return eqx.filter_vmap(network)(keys)


def _tree(model: Model, x: Array) -> Node:
    said = model.size_of("inputs")
    if isinstance(said, int) and said != x.size:
        raise ValueError(f"the model takes {said} inputs, and x1 has {x.size}: give it as many")
    # XLA's gradients of many convolutions batched over their weights are wrong on a CPU
    return by_products(expand(model.sized(inputs=x.size, outputs=1)))


def _builder(root: Node) -> Networks:
    """Return the function that draws the modules of a tree, at inference."""
    stateful = any(isinstance(node, BatchNorm) for node in every(root))
    return partial(_each, partial(lower, root)) if stateful else partial(lower_each, root)


def _sizes(build: Networks, x: Array) -> tuple[int, int]:
    """Count the parameters and outputs of a network, without computing anything."""
    modules: Any = eqx.filter_eval_shape(build, jax.random.key(0)[None])
    outputs = eqx.filter_eval_shape(eqx.filter_vmap(lambda module: module(x)), modules).size
    leaves = (leaf for leaf in jax.tree.leaves(modules) if hasattr(leaf, "shape"))
    return sum(math.prod(leaf.shape) for leaf in leaves), outputs


def _chunks(
    build: Networks,
    x1: Array,
    x2: Array | None,
    draws: int,
    seed: Seed,
    output: int,
    size: int,
) -> Iterator[Float[np.ndarray, " chunk"]]:
    for index in range(-(-draws // size)):
        with partitionable():
            keys = jax.random.split(seed.fold(index).jax(), size)
            drawn = np.asarray(_chunk(build(keys), x1, x2, output))[: draws - index * size]
        if not np.isfinite(drawn).all():
            raise ValueError(
                "a draw of the kernel is NaN or infinite: scale the inputs or weights down, or draw"
                " in float64"
            )
        yield drawn


@partial(program, largest=SMALL_CHUNK_WEIGHTS)
def _chunk(modules: Any, x1: Array, x2: Array | None, output: int) -> Array:
    def entry(module: Any) -> Array:
        second = None if x2 is None else x2[None]
        return empirical_ntk(_OneOutput(module, output), x1[None], second, trace=True)[0, 0]

    return eqx.filter_vmap(entry)(modules)


class _OneOutput(eqx.Module):
    """A network of which only one output is used."""

    network: Any
    output: int = eqx.field(static=True)

    def __call__(self, x: Array) -> Array:
        return jnp.ravel(self.network(x))[self.output, None]

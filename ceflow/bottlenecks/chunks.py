"""Functions of many examples, some at a time."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def by_chunks(
    function: Callable[[Array], Array], x: Float[Array, "m k"], size: int
) -> Float[Array, "m ..."]:
    """Apply a function of a batch, to at most `size` of its examples at once."""
    count = -(-len(x) // size) * size if len(x) > size else len(x)
    padded = jnp.pad(x, [(0, count - len(x)), (0, 0)])
    found = jax.lax.map(function, padded.reshape(-1, min(count, size), x.shape[1]))
    return found.reshape(count, *found.shape[2:])[: len(x)]

"""Standard normal numbers for small networks, from programs shared by networks of all shapes.

A generator takes longer to compile than everything else in a small network. Since a number depends
only on its key and its index, more numbers are drawn than requested, and the rest is dropped.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Key

from ceflow.seeding import GENERATOR

LEAST_DRAW = 64
"""Smallest size of a draw; above it there are four sizes between successive powers of two."""


def normals(keys: Key[Array, "*k"], count: int, members: int | None = None) -> Any:
    """Draw what `jax.random.normal(key, (count,))` gives for each key, bit for bit, shape (*k,
    count).

    With `members`, each key is split into as many, and the shape is (*k, members, count).

    >>> bool((normals(jax.random.key(0), 5) == jax.random.normal(jax.random.key(0), (5,))).all())
    True
    """
    if members is None:
        return _here(_normals(keys, _rounded(count)))[..., :count]
    drawn = _of_members(keys, _rounded(members), _rounded(count))
    return _here(drawn)[..., :members, :count]


def is_known(keys: Array) -> bool:
    """Tell whether the numbers of these keys depend only on key and index.

    That holds for typed keys of ceflow's generator, in its layout.
    """
    typed = jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)
    layout = jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]
    return typed and layout and str(jax.random.key_impl(keys)) == GENERATOR


def _here(drawn: Array) -> Any:
    """Convert numbers to NumPy, where slicing needs no compilation; return a traced array
    as it is.
    """
    return drawn if isinstance(drawn, Tracer) else np.asarray(drawn)


def _rounded(count: int) -> int:
    """Round up a count, above a few hundred by at most a quarter.

    >>> [_rounded(count) for count in (1, 65, 1000, 1025)]
    [64, 128, 1024, 1280]
    """
    step = max(LEAST_DRAW, 2 ** (count - 1).bit_length() // 8)
    return -(-count // step) * step


@partial(jax.jit, static_argnums=1)
def _normals(keys: Key[Array, "*k"], size: int) -> Float[Array, "*k size"]:
    each = jax.vmap(lambda key: jax.random.normal(key, (size,)))(keys.reshape(-1))
    return each.reshape(*keys.shape, size)


@partial(jax.jit, static_argnums=(1, 2))
def _of_members(keys: Key[Array, "*k"], members: int, size: int) -> Float[Array, "*k members size"]:
    each = jax.vmap(lambda key: jax.random.split(key, members))(keys.reshape(-1))
    return _normals(each, size).reshape(*keys.shape, members, size)

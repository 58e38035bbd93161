"""Standard normal numbers for small networks, from programs that networks of all shapes share.

A generator takes longer to compile than all else that is done with a small network. A number
depends on its key and its index alone, so some more are drawn than are asked for, and left out.
"""

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, Float, Key

from ceflow.seeding import GENERATOR

LEAST = 64
"""Numbers that are drawn at least; above, of four sizes from one power of two to the next."""


def normals(keys: Key[Array, "*k"], count: int, members: int | None = None) -> Any:
    """Draw what `jax.random.normal(key, (count,))` gives of each key, to the bit, (*k, count).

    With `members` of each key that it is split into, it is (*k, members, count).

    >>> bool((normals(jax.random.key(0), 5) == jax.random.normal(jax.random.key(0), (5,))).all())
    True
    """
    if members is None:
        return _here(_normals(keys, _rounded(count)))[..., :count]
    drawn = _of_members(keys, _rounded(members), _rounded(count))
    return _here(drawn)[..., :members, :count]


def is_known(keys: Array) -> bool:
    """Tell whether numbers of these keys depend on nothing but key and index.

    That is so of keys that are typed, of ceflow's generator, in its layout."""
    typed = jnp.issubdtype(keys.dtype, jax.dtypes.prng_key)
    layout = jax.config.jax_threefry_partitionable  # pyright: ignore[reportAttributeAccessIssue]
    return typed and layout and str(jax.random.key_impl(keys)) == GENERATOR


def _here(drawn: Array) -> Any:
    """Bring numbers to where slices need no compiling; keep a trace of shapes, which has none."""
    return drawn if isinstance(drawn, Tracer) else np.asarray(drawn)


def _rounded(count: int) -> int:
    """Round up, above a few hundred by a quarter at most.

    >>> [_rounded(count) for count in (1, 65, 1000, 1025)]
    [64, 128, 1024, 1280]
    """
    step = max(LEAST, 2 ** (count - 1).bit_length() // 8)
    return -(-count // step) * step


@partial(jax.jit, static_argnums=1)
def _normals(keys: Key[Array, "*k"], size: int) -> Float[Array, "*k size"]:
    each = jax.vmap(lambda key: jax.random.normal(key, (size,)))(keys.reshape(-1))
    return each.reshape(*keys.shape, size)


@partial(jax.jit, static_argnums=(1, 2))
def _of_members(keys: Key[Array, "*k"], members: int, size: int) -> Float[Array, "*k members size"]:
    each = jax.vmap(lambda key: jax.random.split(key, members))(keys.reshape(-1))
    return _normals(each, size).reshape(*keys.shape, members, size)

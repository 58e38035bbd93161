"""Numbers of any type as the floats that networks and their kernels are computed in."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float

from ceflow._numbers import numbers


def is_whole(x: Any) -> bool:
    """Tell whether an array holds whole numbers or bools."""
    return jnp.issubdtype(x.dtype, jnp.integer) or x.dtype == bool


def is_narrow(dtype: Any) -> bool:
    """Tell whether numbers are floats of under 32 bits, whose products overflow and round."""
    return jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32


def wider(dtype: Any) -> Any:
    """Give the type to compute in: float32 for floats of fewer bits, any other as it is.

    >>> wider(jnp.float16), wider(jnp.float32)
    (dtype('float32'), dtype('float32'))
    """
    return jnp.dtype(jnp.float32 if is_narrow(dtype) else dtype)


def floats(x: ArrayLike, whole: Any = float) -> Float[Array, "..."]:
    """Convert numbers to floats of 32 bits or more.

    Whole numbers and bools become floats of the type `whole`, by default JAX's own: products of
    pixels in uint8 wrap at 256. float16 and bfloat16 become float32. Other types stay.

    >>> import numpy as np
    >>> print(floats(np.array([200, 100], np.uint8)) ** 2)
    [40000. 10000.]

    Raises `ValueError` for what holds no numbers, and where the type of the floats, which is
    float32 unless JAX has those of 64 bits, cannot hold them.
    """
    given = numbers(x)
    if not isinstance(given, jax.Array):
        # JAX would cut integers of 64 bits to 32.
        _check_held(given, jax.dtypes.canonicalize_dtype(given.dtype))
        exact = jnp.asarray(given.astype(float), whole) if is_whole(given) else given
        given = jnp.asarray(exact)
    return given.astype(whole if is_whole(given) else wider(given.dtype))


def _check_held(given: np.ndarray, dtype: Any) -> None:
    """Raise `ValueError` where finite numbers would become infinite, or all of them zeros."""
    if given.dtype.itemsize <= jnp.dtype(dtype).itemsize or is_whole(given) or not given.size:
        return
    largest, facts = float(np.abs(given).max()), jnp.finfo(dtype)
    most, least = float(facts.max), float(facts.tiny)
    if most < largest < math.inf or 0 < largest < least:
        raise ValueError(
            f"{jnp.dtype(dtype)} cannot hold numbers of up to {largest:.2g}: bring them to the"
            " scale of 1 (normalise, scale), or take precision float64"
        )


def examples(
    name: str, x: ArrayLike, shape: tuple[int, ...], whole: Any = float
) -> Float[Array, "n ..."]:
    """Check a batch of examples of this shape, and make it floats; traced ones may hold anything.

    >>> examples("x", [[1, 2]], (2,)).shape
    (1, 2)

    Raises `ValueError`, which calls them `name`, where they are not that, not real or not finite.
    """
    given = numbers(x)
    if tuple(given.shape[1:]) != shape or not given.ndim:
        wanted = ", ".join(map(str, ("examples", *shape)))
        raise ValueError(f"{name} must be ({wanted}), not {tuple(given.shape)}")
    if not isinstance(given, Tracer) and not np.isfinite(np.asarray(given)).all():
        raise ValueError(f"{name} holds NaN or infinity; leave those examples out")
    return floats(given, whole)

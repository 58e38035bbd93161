"""Conversion of numbers of any type to the floats that networks and kernels compute with."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jaxtyping import Array, ArrayLike, Float

from ceflow._numbers import numbers


def is_whole(x: Any) -> bool:
    """Return whether an array holds integers or bools."""
    return jnp.issubdtype(x.dtype, jnp.integer) or x.dtype == bool


def is_narrow(dtype: Any) -> bool:
    """Return whether a type is a float of fewer than 32 bits, too coarse to compute kernels in."""
    return jnp.issubdtype(dtype, jnp.floating) and jnp.finfo(dtype).bits < 32


def wider(dtype: Any) -> Any:
    """Return the type to compute in: float32 for narrower floats, otherwise the type itself.

    >>> wider(jnp.float16), wider(jnp.float32)
    (dtype('float32'), dtype('float32'))
    """
    return jnp.dtype(jnp.float32 if is_narrow(dtype) else dtype)


def floats(x: ArrayLike, whole: Any = float) -> Float[Array, "..."]:
    """Convert numbers to floats of 32 bits or more.

    Integers and bools become floats of type `whole`, by default JAX's default float: products of
    uint8 pixels would wrap around at 256. float16 and bfloat16 become float32. Other types stay.

    >>> import numpy as np
    >>> print(floats(np.array([200, 100], np.uint8)) ** 2)
    [40000. 10000.]

    Raises `ValueError` if x does not hold real numbers, or if they are out of the range of the
    float type (float32, unless 64-bit floats are enabled in JAX).
    """
    given = numbers(x)
    if not isinstance(given, jax.Array):
        # JAX would truncate 64-bit integers to 32 bits.
        _check_held(given, jax.dtypes.canonicalize_dtype(given.dtype))
        exact = jnp.asarray(given.astype(float), whole) if is_whole(given) else given
        given = jnp.asarray(exact)
    return given.astype(whole if is_whole(given) else wider(given.dtype))


def _check_held(given: np.ndarray, dtype: Any) -> None:
    """Raise `ValueError` if the type would make finite numbers infinite, or all of them zero."""
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
    """Check a batch of examples of the given shape, and convert it to floats.

    >>> examples("x", [[1, 2]], (2,)).shape
    (1, 2)

    `name` is what messages call the batch. Raises `ValueError` if the examples have another shape,
    or are not real or not finite. Under `jax.jit`, non-finite examples are not reported.
    """
    given = numbers(x)
    if tuple(given.shape[1:]) != shape or not given.ndim:
        wanted = ", ".join(map(str, ("examples", *shape)))
        raise ValueError(f"{name} must be ({wanted}), not {tuple(given.shape)}")
    if not isinstance(given, Tracer) and not np.isfinite(np.asarray(given)).all():
        raise ValueError(f"{name} holds NaN or infinity; leave those examples out")
    return floats(given, whole)

"""Numbers of any type as the floats that networks and their kernels are computed in."""

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

    Raises `ValueError` for what holds no numbers.
    """
    given = numbers(x)
    if not isinstance(given, jax.Array):
        # JAX would cut integers of 64 bits to 32.
        exact = jnp.asarray(given.astype(float), whole) if is_whole(given) else given
        given = jnp.asarray(exact)
    return given.astype(whole if is_whole(given) else wider(given.dtype))


def examples(
    name: str, x: ArrayLike, shape: tuple[int, ...], whole: Any = float
) -> Float[Array, "n ..."]:
    """Check a batch of examples of this shape, and make it floats; traced ones may hold anything.

    >>> examples("x", [[1, 2]], (2,)).shape
    (1, 2)

    Raises `ValueError`, which calls them `name`, where they are not that, not real or not finite.
    """
    given = numbers(x, real=True)
    if tuple(given.shape[1:]) != shape or not given.ndim:
        wanted = ", ".join(map(str, ("examples", *shape)))
        raise ValueError(f"{name} must be ({wanted}), not {tuple(given.shape)}")
    if not isinstance(given, Tracer) and not np.isfinite(np.asarray(given)).all():
        raise ValueError(f"{name} holds NaN or infinity; leave those examples out")
    return floats(given, whole)

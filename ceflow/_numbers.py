"""Checks of arrays, counts, random generators and keys. Loads no JAX until a key is checked."""

import re
from numbers import Integral
from typing import Any

NUMBERS = re.compile(r"bool|b?float\d|u?int\d")
"""Pattern that starts the names of real dtypes, including bfloat16, which NumPy itself lacks."""


def numbers(x: Any) -> Any:
    """Return x unchanged if it is an array of NumPy or JAX, and otherwise as a NumPy array.

    Raises `ValueError` if x does not hold real numbers, has a mask, has rows of unequal lengths, or
    has more precision than float64.

    >>> numbers([[1.0], [2.0]]).shape
    (2, 1)
    """
    import numpy as np

    if not (hasattr(x, "dtype") and hasattr(x, "shape")):
        try:
            x = np.asarray(x)
        except (TypeError, ValueError):
            raise ValueError("the rows of an array must have equal lengths") from None
    if isinstance(x, np.ma.MaskedArray):
        raise ValueError(
            "masked arrays are not supported: leave out what the mask hides (x.compressed()), or"
            " fill it (x.filled(value))"
        )
    name = str(x.dtype)
    if x.dtype == np.longdouble and x.dtype != float:
        raise ValueError(f"an array of {name} has more precision than float64: use astype(float)")
    if name.startswith("complex"):
        raise ValueError(
            f"an array of real numbers is wanted, not one of {name}: hold real and imaginary parts"
            " as columns"
        )
    if not NUMBERS.match(name):
        kinds = {np.str_: "text", np.bytes_: "text", np.object_: "objects"}
        what = kinds.get(getattr(x.dtype, "type", None), name)
        raise ValueError(f"an array of numbers is wanted, not one of {what}")
    return x


def require_count(name: str, count: object, least: int = 1) -> None:
    """Raise `ValueError` unless `count` is a whole number of at least `least`.

    >>> require_count("draws", 2.5)
    Traceback (most recent call last):
    ValueError: draws must be a whole number of 1 or more, not 2.5
    """
    if not isinstance(count, Integral) or isinstance(count, bool) or count < least:
        raise ValueError(f"{name} must be a whole number of {least} or more, not {count!r}")


def require_key(key: object) -> None:
    """Raise `ValueError` unless `key` is a key of `jax.random`."""
    import jax

    if not isinstance(key, jax.Array) or not (
        jax.numpy.issubdtype(key.dtype, jax.dtypes.prng_key) or key.dtype == jax.numpy.uint32
    ):
        raise ValueError(f"key must be a key of jax.random, such as jax.random.key(0), not {key!r}")


def require_generator(random: object) -> None:
    """Raise `ValueError` unless `random` is a NumPy random generator."""
    import numpy as np

    if not isinstance(random, np.random.Generator):
        raise ValueError(
            f"a generator is wanted, such as numpy.random.default_rng(0), not {random!r}"
        )

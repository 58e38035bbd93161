"""The activations of the language, by name."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array


def linear(x: Array) -> Array:
    """The identity: a deep linear network."""
    return x


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "linear": linear,
    "erf": jax.scipy.special.erf,
    "tanh": jnp.tanh,
}

"""The activations of the language, by name."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array


def linear(x: Array) -> Array:
    """Give the input itself: a deep linear network."""
    return x


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "relu": jax.nn.relu,
    "leaky-relu": jax.nn.leaky_relu,  # slope 0.01 below 0
    "abs": jnp.abs,
    "linear": linear,
    "erf": jax.scipy.special.erf,
    "gelu": partial(jax.nn.gelu, approximate=False),  # x Phi(x), Phi the normal distribution
    "sin": jnp.sin,
    "cos": jnp.cos,
    "tanh": jnp.tanh,
    "softplus": jax.nn.softplus,
    "silu": jax.nn.silu,
}

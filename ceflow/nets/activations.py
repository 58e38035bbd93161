"""Activations of the language, and what is known of their slopes."""

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
    "leaky-relu": jax.nn.leaky_relu,
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
"""The activations of the language, by name."""

SLOPES = {"relu": 0.0, "leaky-relu": 0.01, "abs": -1.0, "linear": 1.0}
"""Slopes below 0 of those that have one slope below 0 and the slope 1 above."""

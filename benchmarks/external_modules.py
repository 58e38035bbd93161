"""Modules of a user's, whose forecasts are measured: without anything of ceflow."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Key


def mlp(key: Key[Array, ""]) -> eqx.Module:
    """Four hidden layers of width 256 on digits of MNIST."""
    return eqx.nn.MLP(784, 10, 256, 4, key=key)


def wide(key: Key[Array, ""], width: int) -> eqx.Module:
    """Three hidden layers of a width on scikit-learn's digits."""
    return eqx.nn.MLP(64, 10, width, 3, key=key)


def channels(key: Key[Array, ""], width: int) -> eqx.Module:
    """Three 3x3 convolutions and a linear layer, on images of 3 channels."""
    keys = jax.random.split(key, 4)
    layers: list[Any] = []
    for fan_in, k in zip((3, width, width), keys, strict=False):
        layers += [eqx.nn.Conv2d(fan_in, width, 3, padding=1, key=k), eqx.nn.Lambda(jax.nn.relu)]
    mean = eqx.nn.Lambda(lambda x: x.mean((1, 2)))
    return eqx.nn.Sequential([*layers, mean, eqx.nn.Linear(width, 10, key=keys[3])])


def convolutions(key: Key[Array, ""]) -> eqx.Module:
    """The same, of 32 channels."""
    return channels(key, 32)


MODULES: dict[str, Callable[..., eqx.Module]] = {
    "mlp": mlp,
    "wide": wide,
    "channels": channels,
    "convolutions": convolutions,
}
"""By the names that the cases of `benchmarks.forecast_cases` use."""

"""The names of the activations, and what is known of each."""

from typing import Literal

Activation = Literal[
    "relu",
    "leaky-relu",
    "abs",
    "linear",
    "erf",
    "gelu",
    "sin",
    "cos",
    "tanh",
    "softplus",
    "silu",
]
"""Activation functions. `leaky-relu` has slope 0.01 below 0; `gelu` is the exact one, x Phi(x)."""

SLOPES = {"relu": 0.0, "leaky-relu": 0.01, "abs": -1.0, "linear": 1.0}
"""Slopes below 0 of the piecewise linear activations with slope 1 above 0. A decoder with one of
these has kernels in closed form."""

KINKED = frozenset(name for name, below in SLOPES.items() if below != 1)
"""Activations that are not analytic."""

CLOSED_MOMENTS = ("relu", "linear")
"""Activations whose NTK has moments in closed form (`ceflow.variance.exact`)."""


def unknown_moments(activation: str) -> str | None:
    """Return what has no moments in closed form, if an activation has none."""
    if activation in CLOSED_MOMENTS:
        return None
    return f"the activation {activation!r}, but for relu and linear"

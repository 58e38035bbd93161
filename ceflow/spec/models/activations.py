"""Activations by name, and what is known of them."""

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
"""A leaky ReLU has slope 0.01 below 0; gelu is the exact one, x Phi(x)."""

SLOPES = {"relu": 0.0, "leaky-relu": 0.01, "abs": -1.0, "linear": 1.0}
"""Slopes below 0 of the activations that are piecewise linear, with slope 1 above: a decoder's
kernels have closed forms."""

KINKED = frozenset(name for name, below in SLOPES.items() if below != 1)
"""Activations that are not analytic."""

CLOSED_MOMENTS = ("relu", "linear")
"""Activations whose NTK has moments in closed form (`ceflow.variance.exact`)."""

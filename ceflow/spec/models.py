"""Models: what a network is. Its meaning (shapes, costs, modules) is in `ceflow.compiler`."""

import math
from typing import Annotated, Literal

from pydantic import Field

from ceflow.spec.base import Count, NonNegative, Positive, Spec, Widths

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

CLOSED_MOMENTS = ("relu", "linear")
"""Activations whose NTK has moments in closed form (`ceflow.variance.exact`)."""


class Mlp(Spec):
    """A fully connected network in NTK parameterisation (CE eq. 3), without bias by default."""

    type: Literal["mlp"] = "mlp"
    """A fully connected network."""
    widths: Widths
    """Widths of the hidden layers, first to last; `inf` is a width."""
    inputs: Count | None = None
    """Number of inputs; from the data where there is data."""
    outputs: Count | None = None
    """Number of outputs; from the data where there is data."""
    activation: Activation = "relu"
    """Applied after every hidden layer."""
    weight_variance: Positive = 2.0
    """c of the hidden layers: each computes sqrt(c / fan-in) W h with W iid standard normal."""
    last_variance: Positive = 1.0
    """The same for the output layer."""
    bias_variance: NonNegative = 0.0
    """Variance of the biases of all layers; 0 means that there are none."""

    @property
    def has_closed_moments(self) -> bool:
        """Whether theory gives the moments of an NTK entry without drawing weights."""
        return self.finite and self.activation in CLOSED_MOMENTS and not self.bias_variance

    @property
    def finite(self) -> bool:
        """Whether no layer is infinitely wide."""
        return all(width != math.inf for width in self.widths)


class Ensemble(Spec):
    """A collegial ensemble: the sum of independent members over sqrt(multiplicity) (CE eq. 4)."""

    type: Literal["ensemble"] = "ensemble"
    """A collegial ensemble."""
    multiplicity: Count
    """Number of members, m."""
    member: Mlp
    """The network that every member is, with weights of its own."""

    @property
    def finite(self) -> bool:
        """Whether no layer is infinitely wide."""
        return self.member.finite


Model = Annotated[Mlp | Ensemble, Field(discriminator="type")]

"""Fully connected networks, and ensembles of them."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from ceflow.spec.base import Count, KeyPath, VarianceValue, Widths
from ceflow.spec.models.activations import CLOSED_MOMENTS, Activation
from ceflow.spec.models.model import End, ModelSpec


class Mlp(ModelSpec):
    """A fully connected network in NTK parameterisation (CE eq. 3), without bias by default."""

    type: Literal["mlp"] = "mlp"
    """A fully connected network. A member, an encoder and a decoder need not say so."""
    widths: Widths
    """Widths of the hidden layers, first to last; `inf` is a width."""
    inputs: Count | None = None
    """Number of inputs; from the data where there is data."""
    outputs: Count | None = None
    """Number of outputs; from the data where there is data."""
    activation: Activation = "relu"
    """Applied after every hidden layer, not after the output layer."""
    weight_variance: VarianceValue = 2.0
    """c of the hidden layers: each computes sqrt(c/fan-in) W h, W iid standard normal."""
    last_variance: VarianceValue = 1.0
    """The same of the output layer."""
    bias_variance: Annotated[float, Field(ge=0, le=1e12)] = 0.0
    """Variance of the biases of all layers, the output layer included; at 0 there are none."""

    @property
    def has_closed_moments(self) -> bool:
        """True where theory gives the moments of an NTK entry without drawing weights."""
        return self.is_finite and self.activation in CLOSED_MOMENTS and not self.bias_variance

    is_dense: ClassVar = True
    usual_inputs: ClassVar[Literal["iid"]] = "iid"
    """The law of an input of which nothing is known."""
    multiplicity: ClassVar = 1

    @property
    def member(self) -> "Mlp":
        return self

    @property
    def limit(self) -> "Mlp":
        return self.with_widths((math.inf,) * len(self.widths))

    @property
    def activations(self) -> frozenset[str]:
        return frozenset({self.activation})

    def with_widths(self, widths: Sequence[float]) -> Self:
        """Give it other widths, which are not judged."""
        return self.replaced({"widths": tuple(widths)})

    def with_members(self, widths: Sequence[int], multiplicity: int) -> "Ensemble":
        member = self.with_widths(widths)
        return Ensemble.model_construct(multiplicity=multiplicity, member=member)

    def part_with(self, end: End) -> "tuple[KeyPath, Mlp]":
        return (), self

    def sized(self, **sizes: Any) -> Self:
        return self.replaced(sizes)


class Ensemble(ModelSpec):
    """A collegial ensemble: the sum of independent members over sqrt(multiplicity) (CE eq. 4)."""

    type: Literal["ensemble"] = "ensemble"
    """A collegial ensemble."""
    multiplicity: Count
    """Number of members, m."""
    member: Mlp
    """The network that every member is, an [mlp](models.md#mlp) with weights of its own; `inputs`
    and `outputs` stand here."""

    is_dense: ClassVar = True
    widths_key: ClassVar = "member.widths"

    @property
    def widths(self) -> Sequence[float]:
        return self.member.widths

    @property
    def activations(self) -> frozenset[str]:
        return self.member.activations

    @property
    def single(self) -> Mlp:
        return self.member

    @property
    def limit(self) -> Mlp:
        return self.member.limit

    def with_members(self, widths: Sequence[int], multiplicity: int) -> "Ensemble":
        return self.member.with_members(widths, multiplicity)

    def part_with(self, end: End) -> tuple[KeyPath, Mlp]:
        return ("member",), self.member

    def sized(self, **sizes: Any) -> Self:
        """
        >>> pair = Ensemble(multiplicity=2, member=Mlp(widths=[3]))
        >>> pair.sized(inputs=4, outputs=1).member.inputs
        4
        """
        return self.replaced({"member": self.member.sized(**sizes)})

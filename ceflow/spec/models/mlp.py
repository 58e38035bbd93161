"""Fully connected networks, and ensembles of them."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from ceflow.spec.base import Count, KeyPath, VarianceValue, Widths
from ceflow.spec.models.activations import Activation, unknown_moments
from ceflow.spec.models.model import End, ModelSpec


class Mlp(ModelSpec):
    """A fully connected network in NTK parameterisation (CE eq. 3), without bias by default."""

    type: Literal["mlp"] = "mlp"
    """A fully connected network. A member, an encoder or a decoder may leave this key out."""
    widths: Widths
    """Widths of the hidden layers, first to last; a width may be `inf`."""
    inputs: Count | None = None
    """Number of inputs; by default that of the data."""
    outputs: Count | None = None
    """Number of outputs; by default that of the data."""
    activation: Activation = "relu"
    """Activation after every hidden layer; the output layer has none."""
    weight_variance: VarianceValue = 2.0
    """Weight variance c of the hidden layers: each computes sqrt(c/fan-in) W h with W iid standard
    normal."""
    last_variance: VarianceValue = 1.0
    """Weight variance c of the output layer."""
    bias_variance: Annotated[float, Field(ge=0, le=1e12)] = 0.0
    """Variance of the biases of all layers, the output layer included; 0 means no biases."""

    @property
    def has_closed_moments(self) -> bool:
        """True if the moments of an NTK entry are known without drawing weights."""
        return self.is_finite and self.why_drawn is None

    @property
    def why_drawn(self) -> str | None:
        """Networks such as this one, in words, if the moments of an NTK entry are not known."""
        biased = "networks with biases" if self.bias_variance else None
        return unknown_moments(self.activation) or biased

    is_dense: ClassVar = True
    usual_inputs: ClassVar[Literal["iid"]] = "iid"
    """Law of the inputs if nothing is known of them."""
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
        """Return a copy with other widths, without validation."""
        return self.replaced({"widths": tuple(widths)})

    def with_members(self, widths: Sequence[float], multiplicity: int) -> "Ensemble":
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
    """The network of each member, an [mlp](models.md#mlp); each member has its own weights.
    `inputs` and `outputs` are set here."""

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

    def with_members(self, widths: Sequence[float], multiplicity: int) -> "Ensemble":
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

"""Fully connected networks."""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field

from ceflow.spec.base import Count, KeyPath, VarianceValue, Widths
from ceflow.spec.models.activations import Activation, unknown_moments
from ceflow.spec.models.model import End, ModelSpec

if TYPE_CHECKING:
    from ceflow.spec.models.ensemble import Ensemble


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

    usual_inputs: ClassVar[Literal["iid"]] = "iid"
    """Law of the inputs if nothing is known of them."""
    multiplicity: ClassVar = 1
    ends_in_weights: ClassVar = True

    @property
    def is_dense(self) -> bool:
        return True

    @property
    def member(self) -> "Mlp":
        return self

    def focused_in(self, ensemble: Any) -> Any:
        """Return what a stage acts on that acts on an ensemble of these networks."""
        return ensemble

    @property
    def as_mlp(self) -> "Mlp":
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
        from ceflow.spec.models.ensemble import Ensemble  # which knows this class

        member = self.with_widths(widths)
        return Ensemble.model_construct(multiplicity=multiplicity, member=member)

    def at_width(self, width: int) -> Self:
        """Return a copy with this width in every hidden layer, without validation."""
        return self.with_widths((width,) * len(self.widths))

    def part_with(self, end: End) -> "tuple[KeyPath, Mlp]":
        return (), self

    def sized(self, **sizes: Any) -> Self:
        return self.replaced(sizes)

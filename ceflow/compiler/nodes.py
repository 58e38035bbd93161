"""A network as a tree of layers with shapes: what a model spec expands to.

Counts are read off this tree, modules are lowered from it, and infinite-width kernels follow it.
Widths may be `math.inf`, and so may the counts then.
"""

import math
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class Dense:
    """A dense layer (CE eq. 3)."""

    inputs: float
    outputs: float
    weight_variance: float
    bias_variance: float

    @property
    def parameters(self) -> float:
        return self.inputs * self.outputs + (self.outputs if self.bias_variance else 0)

    @property
    def flops(self) -> float:
        """Of one example forward: 2 x multiply-adds."""
        return 2 * self.inputs * self.outputs


@dataclass(frozen=True)
class Activation:
    """A nonlinearity on each coordinate; its work is not counted."""

    name: str
    inputs: float

    parameters = 0
    flops = 0

    @property
    def outputs(self) -> float:
        return self.inputs


@dataclass(frozen=True)
class Chain:
    """Layers one after another."""

    layers: tuple["Node", ...]

    @property
    def inputs(self) -> float:
        return self.layers[0].inputs

    @property
    def outputs(self) -> float:
        return self.layers[-1].outputs

    @cached_property
    def parameters(self) -> float:
        return sum(layer.parameters for layer in self.layers)

    @cached_property
    def flops(self) -> float:
        return sum(layer.flops for layer in self.layers)


@dataclass(frozen=True)
class Ensemble:
    """Independent members, summed over the square root of their number (CE eq. 4)."""

    multiplicity: int
    member: "Node"

    @property
    def inputs(self) -> float:
        return self.member.inputs

    @property
    def outputs(self) -> float:
        return self.member.outputs

    @property
    def parameters(self) -> float:
        return self.multiplicity * self.member.parameters

    @property
    def flops(self) -> float:
        return self.multiplicity * self.member.flops


Node = Dense | Activation | Chain | Ensemble


def is_finite(node: Node) -> bool:
    """Whether every layer has a finite width."""
    return math.isfinite(node.parameters)

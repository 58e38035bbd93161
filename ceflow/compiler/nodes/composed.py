"""Layers made of layers: chains, residual connections, ensembles, token mixing, users' modules."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ceflow.compiler.nodes.base import Image, Layer, Shape

if TYPE_CHECKING:
    from ceflow.compiler.nodes.trees import Node


@dataclass(frozen=True)
class Chain(Layer):
    """Layers one after another."""

    layers: tuple["Node", ...]

    @property
    def inner(self) -> "tuple[Node, ...]":
        return self.layers

    @property
    def inputs(self) -> Shape:
        return self.layers[0].inputs

    @property
    def outputs(self) -> Shape:
        return self.layers[-1].outputs

    @cached_property
    def parameters(self) -> float:
        return sum(layer.parameters for layer in self.layers)

    @cached_property
    def flops(self) -> float:
        return sum(layer.flops for layer in self.layers)


@dataclass(frozen=True)
class Residual(Layer):
    """The sum of a body and a shortcut; if the shortcut is None, it is the identity.

    One of the two must end in weights of its own, so that their outputs are uncorrelated.
    """

    body: "Node"
    shortcut: "Node | None" = None

    @property
    def inner(self) -> "tuple[Node, ...]":
        return (self.body, self.shortcut) if self.shortcut else (self.body,)

    @property
    def inputs(self) -> Shape:
        return self.body.inputs

    @property
    def outputs(self) -> Shape:
        return self.body.outputs

    @property
    def parameters(self) -> float:
        return self.body.parameters + (self.shortcut.parameters if self.shortcut else 0)

    @property
    def flops(self) -> float:
        return self.body.flops + (self.shortcut.flops if self.shortcut else 0)


@dataclass(frozen=True)
class Ensemble(Layer):
    """Independent members, summed and divided by the square root of their number (CE eq. 4)."""

    multiplicity: int
    member: "Node"

    @property
    def inner(self) -> "tuple[Node, ...]":
        return (self.member,)

    @property
    def copies(self) -> int:
        return self.multiplicity

    @property
    def inputs(self) -> Shape:
        return self.member.inputs

    @property
    def outputs(self) -> Shape:
        return self.member.outputs

    @property
    def parameters(self) -> float:
        return self.multiplicity * self.member.parameters

    @property
    def flops(self) -> float:
        return self.multiplicity * self.member.flops


@dataclass(frozen=True)
class TokenMixing(Layer):
    """Layers on an image whose positions are channels, and whose channels are positions."""

    inputs: Image
    mixer: "Node"
    """The layers; they keep the swapped shape, (positions, channels, 1)."""

    @property
    def title(self) -> str:
        return "token-mixing"

    @property
    def inner(self) -> "tuple[Node, ...]":
        return (self.mixer,)

    @property
    def outputs(self) -> Image:
        return self.inputs

    @property
    def parameters(self) -> float:
        return self.mixer.parameters

    @property
    def flops(self) -> float:
        return self.mixer.flops


@dataclass(frozen=True)
class External(Layer):
    """A module of the user's, of which only what it computes is known."""

    name: str
    width: int | None
    inputs: Shape
    outputs: int
    parameters: int
    flops: float
    """FLOPs of its matrix products and convolutions; NaN if they depend on numbers."""
    program: str
    """Digest of all that it computes."""
    products: "tuple[Node, ...]" = ()
    """Its products with weights, as layers whose costs are known."""
    make: Callable[[Any], Any] | None = None
    """Function from a key to the module; None in a report of a run."""

    @property
    def inner(self) -> "tuple[Node, ...]":
        return self.products

    @property
    def title(self) -> str:
        return f"module {self.name}" + (f" of width {self.width}" if self.width else "")

    @property
    def starts_normal(self) -> bool:
        return False

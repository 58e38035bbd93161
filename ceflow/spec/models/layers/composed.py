"""Layers made of layers: sequences, residual connections, ensembles, token mixing."""

import math
from typing import TYPE_CHECKING, ClassVar, Literal

from ceflow.spec.base import Count
from ceflow.spec.models.layers.base import LayerSpec, Shape, misfit, shape_text, through

if TYPE_CHECKING:
    from ceflow.spec.models.layers.trees import Layers


class SequenceLayer(LayerSpec):
    """Layers one after another, to repeat them together."""

    type: Literal["sequence"] = "sequence"
    """Layers one after another. With `repeat`, all of them are repeated in turn."""
    layers: "Layers"
    """The layers, first to last."""

    parts: ClassVar = ("layers",)

    def once(self, shape: Shape) -> Shape:
        return through(self.layers, shape, "layers")


class ResidualLayer(LayerSpec):
    """The sum of a body and a shortcut."""

    type: Literal["residual"] = "residual"
    """A residual connection: the outputs of the body are added to those of the shortcut."""
    body: "Layers"
    """The layers of the body."""
    shortcut: "Layers | None" = None
    """The layers of the shortcut; by default it is the identity."""

    parts: ClassVar = ("body", "shortcut")

    def once(self, shape: Shape) -> Shape:
        body = through(self.body, shape, "body")
        straight = through(self.shortcut, shape, "shortcut") if self.shortcut else shape
        if body != straight:
            other = "the shortcut gives" if self.shortcut else "its input is"
            message = f"the body gives {shape_text(body)}, and {other} {shape_text(straight)}"
            help = "let the body keep the shape, or give a shortcut that changes it in the same way"
            raise misfit(message, help, ("body",))
        return body


class EnsembleLayer(LayerSpec):
    """Independent copies of some layers, summed and divided by the root of their number: the
    intermediate aggregation of CE section 4.2.
    """

    type: Literal["ensemble"] = "ensemble"
    """A collegial ensemble: members with weights of their own, whose outputs are summed and divided
    by sqrt(multiplicity)."""
    multiplicity: Count
    """Number of members, m."""
    layers: "Layers"
    """The layers of each member."""

    parts: ClassVar = ("layers",)

    def once(self, shape: Shape) -> Shape:
        return through(self.layers, shape, "layers")


class TokenMixingLayer(LayerSpec):
    """Layers on an image whose positions and channels are swapped."""

    type: Literal["token-mixing"] = "token-mixing"
    """Layers that mix positions, as in an MLP-Mixer: they see the positions of the image as
    channels, and its channels as positions, so that a convolution of kernel 1 acts on all positions
    of each channel, with the same weights. It has no kernel at infinite width."""
    layers: "Layers"
    """The layers; they end in as many channels as the image has positions, and keep their
    positions."""

    parts: ClassVar = ("layers",)
    is_spatial: ClassVar = True

    def swapped(self, image: tuple[float, int, int]) -> tuple[int, int, int]:
        """Return the shape of an image whose positions are channels, and channels positions."""
        return image[1] * image[2], int(image[0]), 1

    def once(self, shape: Shape) -> Shape:
        image = self.image(shape)
        if image[0] == math.inf:
            message = "infinitely many channels cannot be the positions of token-mixing"
            raise misfit(message, "give the layer before it a number of channels")
        swapped = self.swapped(image)
        mixed = through(self.layers, swapped, "layers")
        if mixed != swapped:
            message = f"the layers take {shape_text(swapped)}, and give {shape_text(mixed)}"
            help = f"let them end in {swapped[0]} channels, and keep the height and width"
            raise misfit(message, help, ("layers",))
        return image

"""Layers that take positions together: pools, and an image as a vector."""

import math
from typing import Annotated, ClassVar, Literal

from ceflow.spec.models.layers.base import (
    LayerSpec,
    NameOrNumber,
    Shape,
    Window,
    edges,
    misfit,
    strided,
)

PoolPadding = Annotated[int | str, NameOrNumber("same", "valid")]


class AveragePoolLayer(LayerSpec):
    """The mean over windows of an image."""

    type: Literal["average-pool"] = "average-pool"
    """The mean over windows; positions that do not fill a window are dropped."""
    window: Window
    """Side of a window."""
    stride: Window | None = None
    """Distance of neighbouring windows; by default they do not overlap."""

    is_spatial: ClassVar = True

    def once(self, shape: Shape) -> Shape:
        image = self.image(shape)
        stride = self.stride or self.window
        return image[0], *strided(image, self.window, stride, (0, 0), "window")


class MaxPoolLayer(LayerSpec):
    """The maximum over windows of an image."""

    type: Literal["max-pool"] = "max-pool"
    """The maximum over windows; positions that do not fill a window are dropped. It has no kernel
    at infinite width."""
    window: Window
    """Side of a window."""
    stride: Window | None = None
    """Distance of neighbouring windows; by default they do not overlap."""
    padding: PoolPadding = "valid"
    """What surrounds the image, as in a convolution; what is added is never the maximum."""

    is_spatial: ClassVar = True

    @property
    def edges(self) -> tuple[int, int]:
        """Number of positions added before and after each axis."""
        return edges(self.padding, self.window)

    def once(self, shape: Shape) -> Shape:
        image = self.image(shape)
        if max(self.edges) >= self.window:
            message = f"padding of {max(self.edges)} fills a window of {self.window}"
            raise misfit(message, "take less padding than the window", ("padding",))
        stride = self.stride or self.window
        return image[0], *strided(image, self.window, stride, self.edges, "window")


class GlobalAverageLayer(LayerSpec):
    """The mean over all positions of an image, which gives a vector of its channels."""

    type: Literal["global-average"] = "global-average"
    """The mean of each channel over all positions: a vector."""

    is_spatial: ClassVar = True

    def once(self, shape: Shape) -> Shape:
        return shape[0] if isinstance(shape, tuple) else self.image(shape)


class FlattenLayer(LayerSpec):
    """All values of an image as a vector."""

    type: Literal["flatten"] = "flatten"
    """An image as a vector; a vector stays as it is."""

    def once(self, shape: Shape) -> Shape:
        return math.prod(shape) if isinstance(shape, tuple) else shape

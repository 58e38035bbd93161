"""Layers that take positions together: pools, and an image as a vector."""

from dataclasses import dataclass

from ceflow.compiler.nodes.base import Image, Layer, Shape, strided, units


@dataclass(frozen=True)
class MaxPool(Layer):
    """The maximum over windows at every stride."""

    inputs: Image
    window: int
    stride: int
    edges: tuple[int, int] = (0, 0)
    """Number of positions added before and after each axis, which are never the maximum."""

    parameters = 0
    flops = 0

    @property
    def title(self) -> str:
        return f"max-pool {self.window}x{self.window}/{self.stride}"

    @property
    def outputs(self) -> Image:
        return self.inputs[0], *strided(self.inputs, self.window, self.stride, self.edges)


@dataclass(frozen=True)
class AveragePool(Layer):
    """The mean over windows at every stride; without a window, over the whole image, which gives
    a vector.
    """

    inputs: Image
    window: int | None = None
    stride: int | None = None
    """Distance of windows; by default they are adjacent."""

    pools = True
    parameters = 0
    flops = 0

    @property
    def title(self) -> str:
        if self.window is None:
            return "global-average"
        return f"average-pool {self.window}x{self.window}/{self.stride or self.window}"

    @property
    def outputs(self) -> Shape:
        if self.window is None:
            return self.inputs[0]
        stride = self.stride or self.window
        return self.inputs[0], *strided(self.inputs, self.window, stride, (0, 0))


@dataclass(frozen=True)
class Flatten(Layer):
    """An image as a vector."""

    inputs: Shape

    parameters = 0
    flops = 0

    @property
    def outputs(self) -> float:
        return units(self.inputs)

"""Shapes between layers, and what every layer has."""

import math
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    from ceflow.compiler.nodes.trees import Node

Image = tuple[float, int, int]
"""Channels, height and width."""
Shape = float | Image
"""Shape of the inputs or outputs of a layer: a number of units, or an image."""


def units(shape: Shape) -> float:
    """Return the number of entries of a shape."""
    return math.prod(shape) if isinstance(shape, tuple) else shape


def positions(shape: Shape) -> int:
    """Return the number of positions of an image; 1 for units."""
    return math.prod(shape[1:]) if isinstance(shape, tuple) else 1


def channels(shape: Shape) -> float:
    """Return the number of channels of an image; all units of a vector are channels."""
    return shape[0] if isinstance(shape, tuple) else shape


def image(shape: Shape) -> Image:
    """Return a shape, checked to be that of an image."""
    if not isinstance(shape, tuple):
        raise TypeError(f"an image is needed, not {shape} units")
    return shape


def centre(shape: Shape) -> int:
    """Return the index of the middle position of the first channel, in the order of `ravel`.

    >>> centre((8, 3, 3)), centre(10)
    (4, 0)
    """
    if not isinstance(shape, tuple):
        return 0
    _, height, width = shape
    return height // 2 * width + width // 2


def divided(count: float, by: float) -> float:
    """Divide a count by a divisor of it; whole numbers stay exact."""
    return count / by if math.isinf(count) else count // by


def strided(image: Image, window: int, stride: int, edges: tuple[int, int]) -> tuple[int, int]:
    """Compute height and width after windows `stride` apart, with `edges` added around."""
    height, width = ((side + sum(edges) - window) // stride + 1 for side in image[1:])
    return height, width


class Layer:
    """The properties that every layer has, with which trees are traversed and shown.

    It also has `inputs` and `outputs`, its shapes, and `parameters` and `flops`, its counts.
    """

    pools: ClassVar[bool] = False
    """True if the layer averages positions, beyond the reach of a convolution."""

    @property
    def inner(self) -> "tuple[Node, ...]":
        """The layers inside this one."""
        return ()

    @property
    def copies(self) -> int:
        """Number of copies of each inner layer."""
        return 1

    @property
    def starts_normal(self) -> bool:
        """True if all initial parameters are standard normal, with scales as explicit factors."""
        return bool(self.inner) or not getattr(self, "parameters", 0)

    def module(self, key: Any) -> Any:
        """Build the Equinox module of a layer that a plugin adds. Weights are those of modules of
        `ceflow.nets` in it.
        """
        raise TypeError(f"no module is registered for the layer {type(self).__name__}")

    @property
    def title(self) -> str:
        """Kind of the layer, in words."""
        return type(self).__name__.lower()

    @property
    def suffix(self) -> str:
        """Text appended to the layer before, if this one keeps its shape."""
        return ""

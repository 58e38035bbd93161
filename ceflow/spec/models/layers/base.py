"""Shapes between layers, what every kind has, and the windows of convolutions and pools."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError, core_schema

from ceflow.spec.base import KeyPath, Spec
from ceflow.spec.diagnostics import Fault, SpecError

if TYPE_CHECKING:
    from ceflow.spec.models.layers.trees import Layers

Shape = float | tuple[float, int, int]
"""Shape of an example between two layers: a number of units, or channels, height and width."""

MOST_LAYERS = 10_000
"""Largest number of layers of a network: the compiler makes each of them separately."""


def shape_text(shape: Shape) -> str:
    """Write a shape in words.

    >>> shape_text(10), shape_text((64, 8, 8))
    ('a vector of 10', 'an image of 64 x 8 x 8')
    """
    if isinstance(shape, tuple):
        return f"an image of {' x '.join(map(str, shape))}"
    return f"a vector of {shape}"


@contextmanager
def below(*path: str | int) -> Iterator[None]:
    """Prefix the paths of the faults of a `SpecError`."""
    try:
        yield
    except SpecError as error:
        raise SpecError(*(fault.below(*path) for fault in error.faults)) from None


def misfit(message: str, help: str, path: KeyPath = ()) -> SpecError:
    """Make the error of a layer that its inputs do not fit."""
    return SpecError(Fault("CE204", message, path, "value" if path else "key", help))


class LayerSpec(Spec):
    """The properties of every kind of layer."""

    repeat: Annotated[int, Field(ge=1, le=MOST_LAYERS)] = 1
    """Number of times that the layer is applied, one after another, each with weights of its
    own."""

    parts: ClassVar[tuple[str, ...]] = ()
    """The keys that hold layers."""
    width_key: ClassVar[str | None] = None
    """The key that sets the number of outputs, if one does."""
    is_spatial: ClassVar[bool] = False
    """True if the layer takes images only."""
    step: ClassVar[int] = 1
    """Number that must divide the channels of the inputs, for a kind that a plugin adds."""

    @property
    def width(self) -> float | None:
        """Number of outputs that the layer sets itself."""
        return getattr(self, self.width_key) if self.width_key else None

    @property
    def inner(self) -> "Iterator[tuple[str, Layers]]":
        """The layers inside this one, by key."""
        for key in self.parts:
            layers = getattr(self, key)
            if layers is not None:
                yield key, layers

    @property
    def count(self) -> int:
        """Number of layers, with those inside and repetitions."""
        return self.repeat * (1 + sum(each.count for _, layers in self.inner for each in layers))

    def once(self, shape: Shape) -> Shape:
        """Return the shape of the outputs without repetition.

        Raises `SpecError` if the inputs do not fit; its paths are relative to the layer.
        """
        return shape

    def after(self, shape: Shape) -> Shape:
        """Return the shape of the outputs. Raises `SpecError` if the inputs do not fit."""
        for _ in range(self.repeat):
            before, shape = shape, self.once(shape)
            if shape == before:
                break
        return shape

    def node(self, shape: Shape) -> Any:
        """Build the layer, whose inputs have this shape, of a kind that a plugin adds: an instance
        of a class derived from `ceflow.compiler.nodes.Layer`.
        """
        raise TypeError(f"no meaning is registered for the layer {type(self).__name__}")

    @property
    def is_added(self) -> bool:
        """True if a plugin adds this kind of layer."""
        return type(self).node is not LayerSpec.node

    def image(self, shape: Shape) -> tuple[float, int, int]:
        """Return the shape of an image. Raises `SpecError` for a vector."""
        if not isinstance(shape, tuple):
            name = getattr(self, "type")  # noqa: B009 (each kind has one)
            message = f"{name} takes images, and gets {shape_text(shape)}"
            raise misfit(message, "put it before the layer that makes a vector, or give images")
        return shape


def through(layers: Sequence[LayerSpec], shape: Shape, *path: str | int) -> Shape:
    """Return the shape after some layers. Raises `SpecError`, with the path of the layer that does
    not fit, below `path`.

    >>> from ceflow.spec.models.layers import ConvolutionLayer, FlattenLayer
    >>> through([ConvolutionLayer(channels=8), FlattenLayer()], (3, 4, 4))
    128
    """
    for index, layer in enumerate(layers):
        with below(*path, index):
            shape = layer.after(shape)
    return shape


LARGEST_WINDOW = 10_000
Window = Annotated[int, Field(ge=1, le=LARGEST_WINDOW)]


class NameOrNumber:
    """The annotation of a whole number, or one of a few names."""

    def __init__(self, *names: str, least: int = 0):
        self.names = names
        self.least = least

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return core_schema.no_info_plain_validator_function(self._checked)

    def __get_pydantic_json_schema__(self, core: Any, handler: Any) -> JsonSchemaValue:
        numbers = {"type": "integer", "minimum": self.least, "maximum": LARGEST_WINDOW}
        return {"anyOf": [{"enum": list(self.names)}, numbers]}

    def _checked(self, value: Any) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool)
        if value in self.names or (whole and self.least <= value <= LARGEST_WINDOW):
            return value
        names = ", ".join(f'"{name}"' for name in self.names)
        numbers = f"a whole number from {self.least} to {LARGEST_WINDOW}"
        expected = {"expected": f"{names} or {numbers}"}
        raise PydanticCustomError("name_or_number", "must be {expected}", expected)


def edges(padding: str | int, window: int) -> tuple[int, int]:
    """Return the number of positions that a padding adds before and after each axis.

    >>> edges("same", 3), edges("same", 2), edges("valid", 3), edges(2, 3)
    ((1, 1), (0, 1), (0, 0), (2, 2))
    """
    if padding == "valid":
        return 0, 0
    if isinstance(padding, int):
        return padding, padding
    return (window - 1) // 2, window // 2


def strided(
    image: tuple[float, int, int], window: int, stride: int, edges: tuple[int, int], key: str
) -> tuple[int, int]:
    """Return height and width after windows `stride` apart.

    Raises `SpecError`, at the key of the window, if the window is larger than the image.
    """
    sides = [side + sum(edges) for side in image[1:]]
    if window > min(sides):
        padded = f", {sum(edges)} of padding included" if any(edges) else ""
        message = f"a {key} of {window} is larger than {shape_text(image)}{padded}"
        raise misfit(
            message, f"take a smaller {key}, or fewer layers that shrink the image", (key,)
        )
    height, width = ((side - window) // stride + 1 for side in sides)
    return height, width

"""The inputs and outputs of a model: as it says, or as the data have them; both must agree."""

from typing import Any

from ceflow.compiler import nodes
from ceflow.data import Extent
from ceflow.spec import (
    Block,
    Bottleneck,
    Circle,
    Descent,
    Document,
    Ensemble,
    Fault,
    Files,
    Mlp,
    Model,
    Resnext,
    SpecError,
)


def sizes_of(document: Document, extent: Extent | None) -> dict[str, Any]:
    """Find what to fill in by `sized`. Raises `SpecError` where that is unknown or disagrees."""
    sizes = {key: _size(key, document, extent) for key in ("inputs", "outputs")}
    if isinstance(document.model, Block):
        del sizes["inputs"]  # which no block can be given
    return sizes


def declared(document: Document) -> Extent | None:
    """Give the extent of data in files as documented; None where it leaves a size to them."""
    data = document.data
    holders = {key: _holder(key, document.model)[1] for key in ("inputs", "outputs")}
    inputs, outputs = (getattr(holder, key) for key, holder in holders.items())
    if not isinstance(data, Files) or None in (inputs, outputs, data.train):
        return None
    image = inputs if isinstance(inputs, tuple) else None
    units = int(nodes.units(inputs))
    return Extent(units, outputs, data.train or 1, data.test or 0, image)


def _size(key: str, document: Document, extent: Extent | None) -> nodes.Shape:
    parent, model = _holder(key, document.model)
    known = getattr(model, key) or _there(key, model, extent) or _default(key, model)
    if known is None:
        help = f"add {key} to [{'.'.join(parent)}], or a [data] table"
        raise SpecError(Fault("CE204", f"the number of {key} is not known", parent, "key", help))
    if isinstance(model, Resnext) and isinstance(known, tuple) and _ends_in_channels(known):
        raise SpecError(_channels_last(known, parent, getattr(model, key) is None))
    if extent and not _free(key, document) and not _fits(key, known, extent):
        there = extent.image if isinstance(known, tuple) and extent.image else getattr(extent, key)
        message = f"the model has {_shown(known)} {key}, the data have {_shown(there)}"
        raise SpecError(_contradiction(key, model, message, parent, extent))
    return known


def _holder(key: str, model: Model) -> tuple[tuple[str, ...], Mlp | Block | Resnext]:
    """Find the table of a model that has the key `inputs` or `outputs`, and what it says."""
    if isinstance(model, Ensemble):
        return ("model", "member"), model.member
    if isinstance(model, Bottleneck):
        half = "encoder" if key == "inputs" else "decoder"
        return ("model", half), getattr(model, half)
    return ("model",), model


def _there(key: str, model: Model, extent: Extent | None) -> Any:
    """Give what the data have, in the form that the model takes."""
    image = key == "inputs" and isinstance(model, Resnext)
    return extent and getattr(extent, "image" if image else key)


def _default(key: str, model: Model) -> Any:
    if isinstance(model, Resnext):
        imagenet = model.stem == "imagenet"
        side, classes = (224, 1000) if imagenet else (32, 10)
        return (3, side, side) if key == "inputs" else classes
    return model.channels if isinstance(model, Block) else None


def _fits(key: str, known: nodes.Shape, extent: Extent) -> bool:
    """Tell whether they fit.

    An image must be the data's; of rows any image of as many numbers can be made."""
    if isinstance(known, tuple) and extent.image:
        return known == extent.image
    return nodes.units(known) == getattr(extent, key)


def _ends_in_channels(image: tuple[Any, ...]) -> bool:
    """Tell whether an image looks like height, width and channels.

    It does with 3 at its end, or a square in front of 1 or 4."""
    first, second, last = image
    return min(first, second) > 4 and (last == 3 or (last in (1, 4) and first == second > 8))


def _channels_last(image: tuple[Any, ...], parent: tuple[str, ...], in_data: bool) -> Fault:
    height, width, channels = image
    if in_data:
        message = f"the images of the data are {_shown(image)}, and channels come first here"
        help = "save x, and x_test where there is one, as x.transpose(0, 3, 1, 2)"
        return Fault("CE204", message, ("data",), "key", help)
    message = f"inputs are channels, height and width: {height} channels of {width} x {channels}?"
    help = f"write inputs = [{channels}, {height}, {width}]"
    return Fault("CE204", message, (*parent, "inputs"), help=help)


def _free(key: str, document: Document) -> bool:
    """Let the model's outputs decide, as a kernel over a circle needs no targets."""
    descends = any(isinstance(stage, Descent) for stage in document.stages.values())
    return key == "outputs" and isinstance(document.data, Circle) and not descends


def _contradiction(
    key: str, model: Model, message: str, parent: tuple[str, ...], extent: Extent
) -> Fault:
    path, help = (*parent, key), f"leave {key} out: it comes from the data"
    if key == "inputs" and isinstance(model, Block):
        path, help = (*parent, "channels"), "a block takes patches, channels x 3 x 3 inputs"
    elif key == "inputs" and isinstance(model, Resnext) and not extent.image:
        help = "the data are no images: give inputs = [channels, height, width] that fit them"
    return Fault("CE204", message, path, help=help)


def _shown(size: nodes.Shape) -> str:
    return " x ".join(map(str, size)) if isinstance(size, tuple) else str(size)

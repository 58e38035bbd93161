"""The inputs and outputs of a model, from the model and from the data, which must agree."""

from dataclasses import replace
from typing import Any, get_args

from ceflow.compiler import nodes
from ceflow.data import Extent, channels_last, channels_last_fault
from ceflow.spec import Document, End, Fault, Files, ModelSpec, SpecError
from ceflow.spec.base import KeyPath
from ceflow.spec.models.layers import below
from ceflow.spec.origin import PREFIX


def sizes_of(document: Document, extent: Extent | None) -> dict[End, Any]:
    """Work out the model's numbers of inputs and outputs. Raises `SpecError` if one is unknown or
    they disagree.
    """
    sizes: dict[End, Any] = {}
    for end in get_args(End):  # the inputs first, from which a network's outputs follow
        sizes[end] = _size(end, document, extent, sizes)
    return sizes


def declared(document: Document) -> Extent | None:
    """Return the extent of data in files as far as the document tells it; None if it leaves a size
    out.
    """
    data = document.data
    inputs, outputs = document.model.size_of("inputs"), document.model.size_of("outputs")
    if not data or not data.in_files or None in (inputs, outputs, data.train_count):
        return None
    image = inputs if isinstance(inputs, tuple) else None
    files, units = Files.expect(data), int(nodes.units(inputs))
    return Extent(units, outputs, files.train_count or 1, files.test or 0, image)


def _size(
    end: End, document: Document, extent: Extent | None, sizes: dict[End, Any]
) -> nodes.Shape:
    inside, part = document.model.sized(**sizes).part_with(end)
    path = ("model", *inside)
    with below(*path):
        given = getattr(part, end) or part.own_size(end)
    known = given or _there(end, part, extent) or part.default_size(end)
    if known is None:
        help = f"add {end} to [{'.'.join(map(str, path))}], or a [data] table"
        raise SpecError(Fault("CE204", f"the number of {end} is not known", path, "key", help))
    if part.takes_images and isinstance(known, tuple) and channels_last(known):
        raise SpecError(_transposed(known, path) if given else channels_last_fault(known))
    if extent and not _free(end, document) and not _fits(end, known, extent):
        there = extent.image if isinstance(known, tuple) and extent.image else getattr(extent, end)
        message = f"the model has {_shown(known)} {end}, the data have {_shown(there)}"
        key, help = part.misfit(end, extent.image is not None)
        fault = Fault("CE204", message, (*path, *key), help=help)
        shown = f"{end} = {list(there) if isinstance(there, tuple) else there} in [model]"
        if isinstance(known, tuple) and not isinstance(there, tuple):
            shown = f"{end} = [channels, height, width] in [model], of {there} numbers"
        raise SpecError(_in_own_text(fault, end, shown, document))
    return known


def _in_own_text(fault: Fault, end: End, right: str, document: Document) -> Fault:
    """Turn a fault in a ready-made network to the document that extends it, where the `right` size
    is to be set.
    """
    origin = document.origin
    in_ready = origin and origin.writer(fault.path).text.file.startswith(PREFIX)
    if not in_ready or fault.path[-1] != end:
        return fault
    return replace(fault, path=("extends",), help=f"set {right}")


def _there(end: End, part: ModelSpec, extent: Extent | None) -> Any:
    """Return the size of the data at one end, in the form that the model takes."""
    image = end == "inputs" and part.takes_images
    return extent and getattr(extent, "image" if image else end)


def _fits(end: End, known: nodes.Shape, extent: Extent) -> bool:
    """Tell whether the model's size and that of the data agree.

    An image must equal that of the data; rows of numbers can become any image with as many numbers.
    """
    if isinstance(known, tuple) and extent.image:
        return known == extent.image
    return nodes.units(known) == getattr(extent, end)


def _transposed(image: tuple[Any, ...], parent: KeyPath) -> Fault:
    height, width, channels = image
    message = f"inputs are channels, height and width: {height} channels of {width} x {channels}?"
    help = f"write inputs = [{channels}, {height}, {width}]"
    return Fault("CE204", message, (*parent, "inputs"), help=help)


def _free(end: End, document: Document) -> bool:
    """Tell whether the model's outputs decide, since a kernel over a circle needs no targets."""
    given = document.data is not None and document.data.targets_given
    learned = any(stage.descends for stage in document.stages.values())
    return end == "outputs" and not given and not learned


def _shown(size: nodes.Shape) -> str:
    return " x ".join(map(str, size)) if isinstance(size, tuple) else str(size)

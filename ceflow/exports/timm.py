"""Export of a ResNet as one Python expression that builds it with timm.

timm has names for ResNets of common depths, and its class takes stages, cardinality, base width and
classes as arguments. It has no argument for a 3x3 stem without pooling, and always calls four
stages: those parts are replaced.
"""

from collections.abc import Iterable, Iterator, Mapping

from ceflow.compiler import Plan
from ceflow.exports.counterparts import STAGES, Resnet, counterpart

DEFAULTS = {"num_classes": 1000, "in_chans": 3, "cardinality": 1, "base_width": 64}
"""Default arguments of timm's ResNet."""
NAMES: dict[tuple[int, ...], str] = {
    (2, 2, 2, 2): "resnet26",
    (3, 4, 6, 3): "resnet50",
    (3, 4, 23, 3): "resnet101",
    (3, 8, 36, 3): "resnet152",
    (3, 24, 36, 3): "resnet200",
}
"""Names of timm's ResNets by their numbers of blocks: bottleneck blocks after the stem of
ImageNet."""
BASIC: dict[tuple[int, ...], str] = {(2, 2, 2, 2): "resnet18", (3, 4, 6, 3): "resnet34"}
"""Names of those with basic blocks."""
EMPTY_STAGE = "type(net.layer1)()"
"""An empty `torch.nn.Sequential`, which returns its input."""


def timm_line(plan: Plan) -> str:
    """Write the expression; it needs only the name `timm`, or `ResNet` and a block from it.

    Raises `SpecError` for a network that timm's class cannot build.

    >>> from ceflow.compiler import compile
    >>> from ceflow.spec import Document, Resnext
    >>> model = Resnext(stem="imagenet", blocks=[3, 4, 6, 3], cardinality=12, base_width=10)
    >>> print(timm_line(compile(Document(model=model))))
    timm.create_model("resnet50", cardinality=12, base_width=10)
    """
    model = counterpart(plan)
    if name := _name(model):
        return f'timm.create_model("{name}"{"".join(f", {one}" for one in _given(model))})'
    network = f"ResNet({', '.join(_arguments(model))})"
    parts = [f'net.add_module("{name}", {part})' for name, part in _replaced(model)]
    if not parts:
        return network
    # add_module and init_weights return None, so that the last of the chain is the value
    steps = " or ".join([*parts, "net.init_weights()", "net"])
    return steps.replace("net.", f"(net := {network}).", 1)


def timm_notes(plan: Plan) -> list[str]:
    """Return notes for the reader of the expression."""
    model = counterpart(plan)
    if _name(model):
        return ["names: import timm"]
    notes = [f"names: from timm.models.resnet import {model.block}, ResNet"]
    if any(_replaced(model)):
        notes.append(
            "timm's ResNet has no argument for such a network: the line replaces the parts"
            " that differ, then draws the weights by timm's own init_weights"
        )
    return notes


def _name(model: Resnet) -> str | None:
    names = BASIC if model.is_basic else NAMES
    return names.get(model.blocks) if model.stem == "imagenet" else None


def _given(model: Resnet) -> Iterator[str]:
    values = (model.outputs, model.channels, model.cardinality, model.base_width)
    return differing(DEFAULTS, values)


def differing(defaults: Mapping[str, int], values: Iterable[object]) -> Iterator[str]:
    """Write the arguments whose values differ from their defaults, which are in the same order."""
    for (name, default), value in zip(defaults.items(), values, strict=True):
        if value != default:
            yield f"{name}={value}"


def _arguments(model: Resnet) -> Iterator[str]:
    yield model.block
    yield str(list(model.blocks))
    yield from _given(model)
    if len(model.blocks) < STAGES:
        yield f"channels={[64 * 2**stage for stage in range(len(model.blocks))]}"


def _replaced(model: Resnet) -> Iterator[tuple[str, str]]:
    """Yield the parts that no argument sets, with their replacements."""
    if model.stem == "cifar":
        yield "conv1", f"type(net.conv1)({model.channels}, 64, 3, padding=1, bias=False)"
        yield "maxpool", EMPTY_STAGE
    for stage in range(len(model.blocks), STAGES):
        yield f"layer{stage + 1}", EMPTY_STAGE

"""The ResNet of timm that a model is, if it is one, and timm's names of its layers."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ceflow.compiler import Plan, nodes
from ceflow.spec import Fault, Model, Network, Resnext, SpecError

STAGES = 4
"""Number of stages of timm's ResNet."""
ELSEWHERE = "export it to equinox or to stablehlo"
ANY = "any network can be exported --to stablehlo, and most --to equinox"


@dataclass(frozen=True)
class Resnet:
    """Holds the arguments of timm's ResNet; torchvision's has the same layers and names."""

    blocks: tuple[int, ...]
    stem: str
    """`imagenet`, or `cifar`: a 3x3 convolution, without pooling."""
    channels: int
    """Number of channels of an image."""
    outputs: int
    cardinality: int = 1
    base_width: int = 64
    is_basic: bool = False
    """True if a block is two 3x3 convolutions, and no bottleneck."""

    @property
    def block(self) -> str:
        """Name of timm's class of blocks."""
        return "BasicBlock" if self.is_basic else "Bottleneck"


def counterpart(plan: Plan, what: str = "timm") -> Resnet:
    """Return the ResNet of timm that computes what a plan's network does.

    Raises `SpecError` for a network that timm's class cannot build, whose export is to `what`.
    """
    model = plan.model
    if isinstance(model, Resnext):
        assert model.inputs, "sized before"
        found = Resnet(
            tuple(model.blocks),
            model.stem,
            model.inputs[0],
            model.outputs or 0,
            model.cardinality,
            model.base_width,
        )
    elif isinstance(model, Network):
        found = _of_layers(plan)
    else:
        raise SpecError(Fault("CE203", no_class(what, model), ("model", "type"), help=ANY))
    if len(found.blocks) > STAGES:
        message = f"timm's ResNet has at most {STAGES} stages, this one {len(found.blocks)}"
        help = f"give it four at most, as blocks = [3, 4, 6, 3], or {ELSEWHERE}"
        raise SpecError(Fault("CE203", message, ("model", "blocks"), help=help))
    if sum(found.blocks) == 1:
        message = "timm's ResNet cannot be built with one block alone"
        help = f"give it two blocks or more, or {ELSEWHERE}"
        raise SpecError(Fault("CE203", message, ("model", "blocks"), help=help))
    return found


def no_class(package: str, model: Model) -> str:
    """Say that a package has a class for models of type `resnext` alone, or a ResNet's layers."""
    what = "timm's" if package == "safetensors" else "a call of its"
    return (
        f"an export to {package} is {what} ResNet, which can build models of type resnext,"
        f" not of type {model.type}"
    )


Kind = tuple[Any, ...]
"""What a layer computes, without its weights and the size of its image."""


def _of_layers(plan: Plan) -> Resnet:
    """Guess the ResNet from the layers of a network, and compare all layers with it."""
    layers = list(nodes.every(plan.root))
    blocks = [layer for layer in layers if isinstance(layer, nodes.Residual)]
    kinds = [*_kinds(plan.root)]
    if blocks and isinstance(plan.root.inputs, tuple):
        found = _guessed(blocks, layers, plan)
        if found and [kind for _, kind in named(found)] == kinds:
            return found
    message = "the layers of the network are not those of a ResNet of timm"
    raise SpecError(Fault("CE203", message, ("model", "layers"), "key", "export it to stablehlo"))


def _guessed(
    blocks: Sequence[nodes.Residual], layers: Sequence[nodes.Node], plan: Plan
) -> Resnet | None:
    body = [node for _, node in nodes.leaves(blocks[0].body) if isinstance(node, nodes.Convolution)]
    if len(body) < 2:
        return None
    counts: list[int] = []
    for block in blocks:
        if not counts or block.outputs != block.inputs:
            counts.append(0)
        counts[-1] += 1
    is_basic, groups = len(body) == 2, int(body[1].groups)
    pools = any(isinstance(layer, nodes.MaxPool) for layer in layers)
    return Resnet(
        tuple(counts),
        "imagenet" if pools else "cifar",
        int(nodes.channels(plan.root.inputs)),
        int(nodes.units(plan.root.outputs)),
        1 if is_basic else groups,
        64 if is_basic else int(body[0].channels) // groups,
        is_basic,
    )


def _kinds(node: nodes.Node) -> Iterator[Kind]:
    """Yield what each layer computes; what is random in training alone is left out."""
    match node:
        case nodes.Chain(layers=layers):
            for layer in layers:
                yield from _kinds(layer)
        case nodes.Residual(body=body, shortcut=shortcut):
            yield ("residual",)
            yield from _kinds(body)
            yield ("shortcut",)
            if shortcut is not None:
                yield from _kinds(shortcut)
            yield ("sum",)
        case nodes.Convolution() if not (node.circular or node.bias_variance):
            usual = node.edges == ((node.kernel - 1) // 2, node.kernel // 2)
            sizes = (node.inputs[0], node.channels, node.kernel, node.stride, node.groups)
            yield ("convolution" if usual else node.title, *sizes)
        case nodes.BatchNorm():
            yield "batch-norm", nodes.channels(node.inputs)
        case nodes.Activation(name=name):
            yield (name,)
        case nodes.MaxPool():
            yield "max-pool", node.window, node.stride, node.edges
        case nodes.AveragePool(window=None):
            yield ("average",)
        case nodes.Dense():
            yield "dense", node.inputs, node.outputs, node.groups
        case nodes.Dropout():
            pass
        case _:
            yield (node,)


def named(model: Resnet) -> Iterator[tuple[str, Kind]]:
    """Yield all layers of timm's ResNet with their names; those without weights have none.

    >>> small = Resnet((1, 1), "cifar", 3, 10, cardinality=2, base_width=4)
    >>> [name for name, _ in named(small) if name][:5]
    ['conv1', 'bn1', 'layer1.0.conv1', 'layer1.0.bn1', 'layer1.0.conv2']
    """
    kernel, stride = (3, 1) if model.stem == "cifar" else (7, 2)
    yield from _normalised("conv1", "bn1", model.channels, 64, kernel, stride)
    yield "", ("relu",)
    if model.stem != "cifar":
        yield "", ("max-pool", 3, 2, (1, 1))
    inputs = 64
    for stage, count in enumerate(model.blocks):
        for index in range(count):
            stride = 2 if stage and not index else 1
            inputs = yield from _block(model, f"layer{stage + 1}.{index}", inputs, stage, stride)
    yield "", ("average",)
    yield "fc", ("dense", inputs, model.outputs, 1)


def _block(model: Resnet, name: str, inputs: int, stage: int, stride: int) -> Any:
    """Yield the layers of a block; return the number of its channels."""
    width = 64 * 2**stage
    outputs = width if model.is_basic else 4 * width
    wide = model.cardinality * model.base_width * 2**stage
    path = (
        [(width, 3, stride, 1), (width, 3, 1, 1)]
        if model.is_basic
        else [(wide, 1, 1, 1), (wide, 3, stride, model.cardinality), (outputs, 1, 1, 1)]
    )
    yield "", ("residual",)
    before = inputs
    for number, (channels, *sizes) in enumerate(path, 1):
        if number > 1:
            yield "", ("relu",)
        names = f"{name}.conv{number}", f"{name}.bn{number}"
        yield from _normalised(*names, before, channels, *sizes)
        before = channels
    yield "", ("shortcut",)
    if stride > 1 or inputs != outputs:
        straight = f"{name}.downsample"
        yield from _normalised(f"{straight}.0", f"{straight}.1", inputs, outputs, 1, stride)
    yield "", ("sum",)
    yield "", ("relu",)
    return outputs


def _normalised(
    convolution: str,
    norm: str,
    inputs: int,
    outputs: int,
    kernel: int,
    stride: int,
    groups: int = 1,
) -> Iterator[tuple[str, Kind]]:
    yield convolution, ("convolution", inputs, outputs, kernel, stride, groups)
    yield norm, ("batch-norm", outputs)

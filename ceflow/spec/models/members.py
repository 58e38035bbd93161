"""The layers of one member of an ensemble: the S of the law of its variance, the mlp or block that
it is, and the part of it on which an entry of its NTK depends.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, TypeVar

from ceflow.spec.models.layers import (
    ActivationLayer,
    AttentionLayer,
    AveragePoolLayer,
    BatchNormLayer,
    ConvolutionLayer,
    DenseLayer,
    DropoutLayer,
    EnsembleLayer,
    GlobalAverageLayer,
    LayerNormLayer,
    LayerSpec,
    MaxPoolLayer,
    ResidualLayer,
    ScaleLayer,
    SequenceLayer,
    Shape,
    TokenMixingLayer,
    is_depthwise,
)
from ceflow.spec.models.mlp import Mlp
from ceflow.spec.models.network import Network
from ceflow.spec.models.resnext import Block

ModuleT = TypeVar("ModuleT", bound=Network)

BY_POSITION = (ActivationLayer, BatchNormLayer, DropoutLayer, ScaleLayer)
"""Layers whose outputs depend on the values at the same position alone."""
BY_CHANNEL = (*BY_POSITION, AveragePoolLayer, MaxPoolLayer, GlobalAverageLayer)
"""Layers that act on each channel by itself."""


def fan_in_sum(layers: Sequence[LayerSpec], inputs: Shape) -> float:
    """Compute S, the sum of 1/fan-in over the layers that average over hidden channels.

    The layers before which there are no weights do not count: for given inputs, their outputs are
    exactly Gaussian. Depthwise layers do not count either, as they average over no channels. An
    ensemble of m members counts as 1/m of one.
    """
    return _sum(layers, inputs, False)[0]


def _sum(layers: Sequence[LayerSpec], shape: Shape, hidden: bool) -> tuple[float, bool]:
    """Return the sum, and whether the outputs are behind weights."""
    total = 0.0
    for layer in layers:
        for _ in range(layer.repeat):
            added, hidden = _added(layer, shape, hidden)
            total += added
            shape = layer.once(shape)
    return total, hidden


def _added(layer: LayerSpec, shape: Shape, hidden: bool) -> tuple[float, bool]:
    channels = shape[0] if isinstance(shape, tuple) else shape
    match layer:
        case DenseLayer():
            return hidden / channels, True
        case ConvolutionLayer():
            counts = hidden and not is_depthwise(layer)
            return counts * int(layer.groups) / (layer.kernel**2 * channels) if counts else 0, True
        case AttentionLayer():
            return hidden / channels + 1 / (layer.heads * layer.head_channels(channels)), True
        case ResidualLayer():
            body, behind = _sum(layer.body, shape, hidden)
            straight, also = _sum(layer.shortcut or (), shape, hidden)
            return body + straight, behind or also
        case EnsembleLayer():
            inner, behind = _sum(layer.layers, shape, hidden)
            return inner / layer.multiplicity, behind
        case SequenceLayer():
            return _sum(layer.layers, shape, hidden)
        case TokenMixingLayer():
            return _sum(layer.layers, layer.swapped(layer.image(shape)), hidden)
        case _:
            return 0.0, hidden


def known_member(module: Network) -> Mlp | Block | None:
    """Return the mlp or block whose NTK entries have the law of a module's; None if there is none.

    It is an mlp if dense layers and activations alternate. It is a block if 1x1, 3x3 and 1x1
    convolutions and activations do, and the image holds the patch that an output position sees.
    """
    found = known_mlp(module)
    return found if found else _known_block(module)


def known_mlp(module: Network) -> Mlp | None:
    """Return the mlp that has the layers of a module; None if there is none."""
    alternating = _alternating(module)
    if alternating is None or not all(isinstance(each, DenseLayer) for each in alternating.weights):
        return None
    *hidden, outputs = (each.width for each in alternating.weights)
    sizes = {"inputs": module.inputs, "outputs": outputs or module.outputs}
    return Mlp.model_construct(widths=tuple(hidden), **sizes, **alternating.law)


def _known_block(module: Network) -> Block | None:
    alternating = _alternating(module)
    if alternating is None or alternating.law["bias_variance"]:
        return None
    if not _is_block(module, alternating.weights):
        return None
    law = {key: value for key, value in alternating.law.items() if key != "bias_variance"}
    return _block(module, [each.width for each in alternating.weights], law)


class _Alternating(NamedTuple):
    """Layers with weights between which one activation acts, and their law, as keys of an mlp."""

    weights: list[DenseLayer | ConvolutionLayer]
    law: dict[str, Any]


def _alternating(module: Network) -> _Alternating | None:
    """Return the layers of a module if layers with weights and one activation alternate."""
    layers = _unrolled(module.layers)
    weights = [each for each in layers[::2] if isinstance(each, DenseLayer | ConvolutionLayer)]
    names = [each.name for each in layers[1::2] if isinstance(each, ActivationLayer)]
    alternate = len(weights) + len(names) == len(layers) == 2 * len(names) + 1
    if not alternate or len(set(names)) != 1 or module.parameterisation == "standard":
        return None
    *hidden, last = map(module.law_of, weights)
    if len(set(hidden)) != 1 or hidden[0][1] != last[1]:
        return None
    law = {
        "activation": names[0],
        "weight_variance": hidden[0][0],
        "last_variance": last[0],
        "bias_variance": last[1],
    }
    return _Alternating(weights, law)


def _unrolled(layers: Sequence[LayerSpec]) -> list[LayerSpec]:
    """Write repeated layers out."""
    return [layer.replaced({"repeat": 1}) for layer in layers for _ in range(layer.repeat)]


def _is_block(module: Network, weights: Sequence[LayerSpec]) -> bool:
    """Tell whether layers with weights are the convolutions of a block on an image."""
    found = [(each.kernel, each.groups) for each in weights if isinstance(each, ConvolutionLayer)]
    image = module.inputs
    if found != [(1, 1), (3, 1), (1, 1)]:
        return False
    return not isinstance(image, tuple) or _field(module.layers, image) is not None


def _block(module: Network, widths: list[float | None], law: dict[str, Any]) -> Block:
    *hidden, outputs = widths
    channels = {"channels": module.inputs[0]} if isinstance(module.inputs, tuple) else {}
    return Block.model_construct(widths=tuple(hidden), outputs=outputs, **channels, **law)


def one_output(module: ModuleT) -> ModuleT:
    """Cut a module to what one entry of its outputs depends on.

    The last layer with weights has one output channel, if no later layer mixes channels. If an
    output position in the interior sees a patch of the image, the inputs are that patch.
    """
    layers, image = _narrowed(module.layers), module.inputs
    size = _field(layers, image) if isinstance(image, tuple) else None
    if size is None or not isinstance(image, tuple):
        return module.replaced({"layers": layers})
    cut = tuple(
        layer.replaced({"padding": "valid"})
        if isinstance(layer, ConvolutionLayer | MaxPoolLayer)
        else layer
        for layer in layers
    )
    return module.replaced({"layers": cut, "inputs": (image[0], size, size)})


def _narrowed(layers: Sequence[LayerSpec]) -> tuple[LayerSpec, ...]:
    """Give the last layer with weights one output, if those after it keep channels apart."""
    last = len(layers) - 1
    while last > 0 and isinstance(layers[last], BY_CHANNEL):
        last -= 1
    layer = layers[last]
    mixes = isinstance(layer, DenseLayer) or (
        isinstance(layer, ConvolutionLayer) and layer.groups == 1
    )
    if not mixes or layer.repeat > 1 or layer.width_key is None:
        return tuple(layers)
    return (*layers[:last], layer.replaced({layer.width_key: 1}), *layers[last + 1 :])


def _field(layers: Sequence[LayerSpec], image: tuple[int, int, int]) -> int | None:
    """Return the side of the patch that an output position in the interior sees.

    It is None if a layer depends on all positions, or no patch lies within the image.
    """
    size, stride, before = 1, 1, 0
    for layer in _unrolled(layers):
        match layer:
            case ConvolutionLayer(kernel=window):
                step, edge = layer.stride, layer.edges[0]
            case MaxPoolLayer(window=window):
                step, edge = layer.stride or window, layer.edges[0]
            case AveragePoolLayer(window=window):
                step, edge = layer.stride or window, 0
            case LayerNormLayer(axes="channels"):
                continue
            case _ if isinstance(layer, BY_POSITION):
                continue
            case _:
                return None
        size += (window - 1) * stride
        before += edge * stride
        stride *= step
    first = -(-before // stride) * stride - before  # where the patch of the first of these begins
    return size if first + size <= min(image[1:]) else None

"""The layers of a network as a document says them, with their shapes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import singledispatch

from ceflow.compiler import nodes
from ceflow.spec import Network
from ceflow.spec.models import layers as specs
from ceflow.spec.models.layers import Layers, LayerSpec
from ceflow.spec.models.network import Weighted


@dataclass(frozen=True)
class Weights:
    """The law of the weights of a network's layers."""

    model: Network

    @property
    def standard(self) -> bool:
        """True if the scale of weights is that of the initial weights."""
        return self.model.parameterisation == "standard"

    @property
    def zero_init(self) -> bool:
        """True if the bodies of residual connections start at 0 where they end in batch-norm."""
        return self.model.zero_init_residual

    def of(self, layer: Weighted) -> tuple[float, float]:
        """Return the variances of a layer's weights and biases."""
        return self.model.law_of(layer)


def network(model: Network) -> nodes.Node:
    """Build the layers of a network with known inputs and outputs.

    A network of one layer is that layer, so that one of a single ensemble is the same as the model
    `ensemble`. Raises `SpecError`, with the path below the model, if layers do not fit.
    """
    if model.inputs is None:
        raise ValueError("the inputs of the model are not known; give them by sized()")
    model.ends()  # which raises if layers do not fit
    inputs = model.inputs if isinstance(model.inputs, int) else _image(model.inputs)
    return _joined(model.layers, inputs, Weights(model))


def _image(sizes: Sequence[int]) -> nodes.Image:
    channels, height, width = sizes
    return channels, height, width


def _joined(layers: Layers, shape: nodes.Shape, law: Weights) -> nodes.Node:
    """Build layers one after another; a single layer is no chain."""
    built: list[nodes.Node] = []
    for layer in layers:
        for _ in range(layer.repeat):
            node = _node(layer, shape, law)
            shape = node.outputs
            # a sequence is no layer of its own
            built.extend(node.layers if isinstance(node, nodes.Chain) else (node,))
    return built[0] if len(built) == 1 else nodes.Chain(tuple(built))


@singledispatch
def _node(layer: LayerSpec, shape: nodes.Shape, law: Weights) -> nodes.Node:
    """Build a layer whose inputs have this shape."""
    return layer.node(shape)


@_node.register
def _(layer: specs.DenseLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    assert layer.units is not None, "sized before"
    units = nodes.units(shape)
    return nodes.Dense(units, layer.units, *law.of(layer), standard=law.standard)


@_node.register
def _(layer: specs.ConvolutionLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    image = nodes.image(shape)
    return nodes.Convolution(
        image,
        layer.channels or image[0],
        layer.kernel,
        layer.stride,
        layer.groups if isinstance(layer.groups, int) else image[0],
        *law.of(layer),
        padding=None if layer.padding in ("same", "circular") else layer.edges,
        circular=layer.padding == "circular",
        standard=law.standard,
    )


@_node.register
def _(layer: specs.ActivationLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    return nodes.Activation(layer.name, shape)


@_node.register
def _(layer: specs.BatchNormLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    return nodes.BatchNorm(shape)


@_node.register
def _(layer: specs.LayerNormLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    return nodes.LayerNorm(shape, layer.axes == "channels", layer.affine, layer.epsilon)


@_node.register
def _(layer: specs.ScaleLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    return nodes.Scale(shape, layer.initial)


@_node.register
def _(layer: specs.PositionEmbeddingLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    return nodes.PositionEmbedding(nodes.image(shape), layer.variance, law.standard)


@_node.register
def _(layer: specs.AveragePoolLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    return nodes.AveragePool(nodes.image(shape), layer.window, layer.stride)


@_node.register
def _(layer: specs.MaxPoolLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    stride = layer.stride or layer.window
    return nodes.MaxPool(nodes.image(shape), layer.window, stride, layer.edges)


@_node.register
def _(layer: specs.GlobalAverageLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    return nodes.AveragePool(nodes.image(shape))


@_node.register
def _(layer: specs.FlattenLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    return nodes.Flatten(shape)


@_node.register
def _(layer: specs.SequenceLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    return _joined(layer.layers, shape, law)


@_node.register
def _(layer: specs.ResidualLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    shortcut = _joined(layer.shortcut, shape, law) if layer.shortcut else None
    body = _joined(layer.body, shape, law)
    return nodes.Residual(nodes.zero_ended(body) if law.zero_init else body, shortcut)


@_node.register
def _(layer: specs.EnsembleLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    return nodes.Ensemble(layer.multiplicity, _joined(layer.layers, shape, law))


@_node.register
def _(layer: specs.TokenMixingLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    image = nodes.image(shape)
    return nodes.TokenMixing(image, _joined(layer.layers, layer.swapped(image), law))


@_node.register
def _(layer: specs.DropoutLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    return nodes.Dropout(shape, layer.rate)


@_node.register
def _(layer: specs.AttentionLayer, shape: nodes.Shape, law: Weights) -> nodes.Node:
    image = nodes.image(shape)
    width = layer.head_channels(image[0])
    return nodes.Attention(image, layer.heads, width, *law.of(layer), standard=law.standard)

"""The layers of a ResNet or ResNeXt with batch normalisation (CE section 4.2)."""

from ceflow.compiler import nodes
from ceflow.spec import Resnext

STEM_CHANNELS = 64
"""Number of channels after the stem."""


def resnext(model: Resnext, image: nodes.Image, outputs: int) -> nodes.Chain:
    """Build stem, stages of bottleneck blocks, mean over all positions, dense layer with biases.

    The initial weights of convolutions have variance 2/fan-in, which suits ReLU; weights and biases
    of the dense layer have 1/(3 fan-in), the variance of PyTorch's uniform initialisation.
    """
    layers = _stem(model, image)
    for stage, blocks in enumerate(model.blocks):
        for index in range(blocks):
            stride = 2 if stage and not index else 1
            before = nodes.image(layers[-1].outputs)
            layers.append(_bottleneck(model, before, stage, stride, projected=not index))
            layers.append(nodes.Activation("relu", layers[-1].outputs))
    last = nodes.image(layers[-1].outputs)
    head = nodes.Dense(last[0], outputs, 1 / 3, 1 / 3, standard=True)
    return nodes.Chain((*layers, nodes.AveragePool(last), head))


def _stem(model: Resnext, image: nodes.Image) -> list[nodes.Node]:
    kernel, stride = (3, 1) if model.stem == "cifar" else (7, 2)
    convolution, norm = _normalised(image, STEM_CHANNELS, kernel, stride)
    pool = [] if model.stem == "cifar" else [nodes.MaxPool(convolution.outputs, 3, 2, (1, 1))]
    return [convolution, norm, nodes.Activation("relu", norm.outputs), *pool]


def _bottleneck(
    model: Resnext, image: nodes.Image, stage: int, stride: int, *, projected: bool
) -> nodes.Residual:
    """Build a bottleneck block; the stride is on the 3x3, as in torchvision and timm."""
    outputs = model.member.channels * 2**stage
    width = model.cardinality * model.base_width * 2**stage
    first = _normalised(image, width, 1)
    second = _normalised(first[0].outputs, width, 3, stride, model.cardinality)
    third = _normalised(second[0].outputs, outputs, 1)
    active = [nodes.Activation("relu", norm.outputs) for _, norm in (first, second)]
    path = nodes.Chain((*first, active[0], *second, active[1], *third))
    path = nodes.zero_ended(path) if model.zero_init_residual else path
    shortcut = nodes.Chain(_normalised(image, outputs, 1, stride)) if projected else None
    return nodes.Residual(path, shortcut)


def _normalised(
    image: nodes.Image, channels: int, kernel: int, stride: int = 1, groups: int = 1
) -> tuple[nodes.Convolution, nodes.BatchNorm]:
    """Build a convolution and its batch normalisation."""
    convolution = nodes.Convolution(
        image, channels, kernel, stride, groups, 2.0, 0.0, standard=True
    )
    return convolution, nodes.BatchNorm(convolution.outputs)

"""The layers that each model of the language expands to."""

from functools import singledispatch
from itertools import pairwise
from typing import Any

from ceflow.compiler import nodes
from ceflow.compiler.layers import network
from ceflow.compiler.resnext import resnext
from ceflow.spec import (
    Block,
    Bottleneck,
    Chain,
    Ensemble,
    External,
    Fault,
    Mlp,
    Model,
    Network,
    Resnext,
    SpecError,
)
from ceflow.spec.models.layers import below


@singledispatch
def expand(model: Model) -> nodes.Node:
    """Expand a model with known inputs and outputs (`sized`) to its tree of layers.

    Raises `SpecError`, with the path below the model, if layers do not fit.
    """
    raise TypeError(f"no meaning is registered for the model {type(model).__name__}")


@expand.register
def _(model: Mlp) -> nodes.Node:
    return nodes.Chain(_mlp(model))


def _mlp(model: Mlp) -> tuple[nodes.Node, ...]:
    inputs, outputs = _sizes(model)
    layers: list[nodes.Node] = []
    for fan_in, width in pairwise((inputs, *model.widths)):
        layers.append(nodes.Dense(fan_in, width, model.weight_variance, model.bias_variance))
        layers.append(nodes.Activation(model.activation, width))
    last = nodes.Dense(model.widths[-1], outputs, model.last_variance, model.bias_variance)
    return (*layers, last)


@expand.register
def _(model: Ensemble) -> nodes.Node:
    with below("member"):
        return nodes.Ensemble(model.multiplicity, expand(model.member))


@expand.register
def _(model: Block) -> nodes.Node:
    """Expand a block on its patch. FLOPs are counted per output position, as neighbours share the
    first layer.
    """
    first, second = (model.cardinality * width for width in model.widths)
    outputs, c, last = model.outputs or model.channels, model.weight_variance, model.last_variance
    patch, inner, middle = model.inputs, (first, 3, 3), (second, 1, 1)
    layers = (
        nodes.Convolution(patch, first, 1, 1, 1, c, 0.0, shared=9),
        nodes.Activation(model.activation, inner),
        nodes.Convolution(inner, second, 3, 1, model.cardinality, c, 0.0, padding=(0, 0)),
        nodes.Activation(model.activation, middle),
        nodes.Convolution(middle, outputs, 1, 1, 1, last, 0.0),
    )
    end = nodes.Flatten(layers[-1].outputs)
    if not model.projection:
        return nodes.Chain((*layers, end))
    # padded by -1, a 1x1 convolution sees the centre of the patch
    centre = nodes.Convolution(patch, outputs, 1, 1, 1, last, 0.0, padding=(-1, -1))
    return nodes.Chain((nodes.Residual(nodes.Chain(layers), centre), end))


@expand.register
def _(model: Resnext) -> nodes.Node:
    return resnext(model, *_sizes(model))


@expand.register
def _(model: Network) -> nodes.Node:
    return network(model)


@expand.register
def _(model: External) -> nodes.Node:
    if model.binding is None:
        raise ValueError(f"nothing is bound to the name {model.name!r}: give it by modules")
    layer = model.binding(model)
    if model.outputs not in (None, layer.outputs):
        message = f"the module returns {layer.outputs} outputs, and outputs = {model.outputs}"
        raise SpecError(Fault("CE204", message, ("outputs",), help="leave outputs out"))
    return layer


@expand.register
def _(model: Bottleneck | Chain) -> nodes.Node:
    layers: list[nodes.Node] = []
    for path, part in model.parts.items():
        with below(*path):
            layers += _in_turn(expand(part))
    return nodes.Chain(tuple(layers))


def _in_turn(root: nodes.Node) -> tuple[nodes.Node, ...]:
    """Return the layers of a chain; any other layer is the only one."""
    return root.layers if isinstance(root, nodes.Chain) else (root,)


def _sizes(model: Mlp | Resnext) -> tuple[Any, int]:
    if model.inputs is None or model.outputs is None:
        raise ValueError("the inputs or outputs of the model are not known; give them by sized()")
    return model.inputs, model.outputs

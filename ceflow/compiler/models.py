"""The layers that each model of the language expands to, and how its widths are changed."""

import math
from functools import singledispatch
from itertools import pairwise
from typing import Any

from ceflow.compiler import nodes
from ceflow.compiler.resnext import resnext
from ceflow.spec import (
    Block,
    Bottleneck,
    Ensemble,
    Member,
    Mlp,
    Model,
    Resnext,
    member_of,
    widths_of,
)


@singledispatch
def expand(model: Model) -> nodes.Node:
    """Expand a model whose inputs and outputs are known (`sized`) to its tree of layers."""
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
    return nodes.Ensemble(model.multiplicity, expand(model.member))


@expand.register
def _(model: Block) -> nodes.Node:
    """Expand on its patch; FLOPs are of one output position: neighbours share the first layer."""
    first, second = (model.cardinality * width for width in model.widths)
    outputs, c, last = model.outputs or model.channels, model.weight_variance, model.last_variance
    patch, inner, middle = model.inputs, (first, 3, 3), (second, 1, 1)
    layers = (
        nodes.Convolution(patch, first, 1, 1, 1, c, 0.0, shared=9),
        nodes.Activation(model.activation, inner),
        nodes.Convolution(inner, second, 3, 1, model.cardinality, c, 0.0, padding=0),
        nodes.Activation(model.activation, middle),
        nodes.Convolution(middle, outputs, 1, 1, 1, last, 0.0),
    )
    end = nodes.Flatten(layers[-1].outputs)
    if not model.projection:
        return nodes.Chain((*layers, end))
    # padded by -1, a 1x1 convolution sees the centre of the patch
    centre = nodes.Convolution(patch, outputs, 1, 1, 1, last, 0.0, padding=-1)
    return nodes.Chain((nodes.Residual(nodes.Chain(layers), centre), end))


@expand.register
def _(model: Resnext) -> nodes.Node:
    return resnext(model, *_sizes(model))


@expand.register
def _(model: Bottleneck) -> nodes.Node:
    return nodes.Chain(tuple(layer for half in halves_of(model) for layer in _mlp(half)))


def halves_of(model: Bottleneck) -> tuple[Mlp, Mlp]:
    """Split into encoder and decoder, with as many units between them as the bottleneck has."""
    encoder = model.encoder.but({"outputs": model.size})
    return encoder, model.decoder.but({"inputs": model.size})


def _sizes(model: Mlp | Resnext) -> tuple[Any, int]:
    if model.inputs is None or model.outputs is None:
        raise ValueError("the inputs or outputs of the model are not known; give them by sized()")
    return model.inputs, model.outputs


def sized(model: Model, **sizes: object) -> Model:
    """Give a model its inputs and outputs.

    >>> sized(Ensemble(multiplicity=2, member=Mlp(widths=[3])), inputs=4, outputs=1).member.inputs
    4
    """
    if isinstance(model, Ensemble):
        return model.but({"member": sized(model.member, **sizes)})
    if isinstance(model, Bottleneck):
        ends = {"encoder": "inputs", "decoder": "outputs"}
        given = {half: key for half, key in ends.items() if key in sizes}
        return model.but(
            {half: sized(getattr(model, half), **{key: sizes[key]}) for half, key in given.items()}
        )
    return model.but(sizes)


def fan_in_sum(model: Model) -> float:
    """Compute S of the law Var(K) ~ exp(alpha S) - 1 (CE eq. 2), of what is repeated.

    Of an MLP the sum of 1/n over the hidden widths, of a block that of 1/fan-in over all of its
    layers (CE section 4.2).

    >>> fan_in_sum(Mlp(widths=[20, 20, 10]))
    0.2
    """
    if not isinstance(model, Bottleneck) and isinstance(member := member_of(model), Block):
        first, second = member.widths
        return math.fsum((1 / member.channels, 1 / (9 * first), 1 / second))
    return math.fsum(1 / width for width in widths_of(model))


def multiplicity_of(model: Model) -> int:
    """Count members, or groups; 1 for a network that is no ensemble.

    >>> multiplicity_of(Resnext(blocks=[3, 3, 3], cardinality=8, base_width=64))
    8
    """
    if isinstance(model, Ensemble):
        return model.multiplicity
    return 1 if isinstance(model, Mlp | Bottleneck) else model.cardinality


def ratio_widths(model: Model, ratio: float) -> tuple[int, ...]:
    """Multiply the hidden widths by a ratio, rounded, and at least 1 (CE Algorithm 1)."""
    return tuple(max(1, round(ratio * width)) for width in member_of(model).widths)


def member_with(model: Model, widths: tuple[int, ...]) -> Member:
    """Take what is repeated in a model's family, at other widths."""
    return member_of(model).but({"widths": widths})


def ensemble_with(model: Model, widths: tuple[int, ...], multiplicity: int) -> Model:
    """Build the network of a model's family at other widths and multiplicity, not judged."""
    if isinstance(model, Block):
        return model.but({"widths": widths, "cardinality": multiplicity})
    if isinstance(model, Resnext):
        update = {"base_width": widths[0], "cardinality": multiplicity}
        return model.but(update)
    member = member_with(model, widths)
    assert isinstance(member, Mlp)
    return Ensemble.model_construct(multiplicity=multiplicity, member=member)

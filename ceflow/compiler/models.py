"""What each model of the language expands to, and how its widths are changed."""

import math
from functools import singledispatch
from itertools import pairwise

from ceflow.compiler import nodes
from ceflow.spec import Ensemble, Mlp, Model, member_of


@singledispatch
def expand(model: Model, inputs: int, outputs: int) -> nodes.Node:
    """The tree of layers of a model with so many inputs and outputs."""
    raise TypeError(f"no meaning is registered for the model {type(model).__name__}")


@expand.register
def _(model: Mlp, inputs: int, outputs: int) -> nodes.Node:
    layers: list[nodes.Node] = []
    for fan_in, width in pairwise((inputs, *model.widths)):
        layers.append(nodes.Dense(fan_in, width, model.weight_variance, model.bias_variance))
        layers.append(nodes.Activation(model.activation, width))
    last = nodes.Dense(model.widths[-1], outputs, model.last_variance, model.bias_variance)
    return nodes.Chain((*layers, last))


@expand.register
def _(model: Ensemble, inputs: int, outputs: int) -> nodes.Node:
    return nodes.Ensemble(model.multiplicity, expand(model.member, inputs, outputs))


def fan_in_sum(model: Model) -> float:
    """S of the law Var(K) ~ exp(alpha S) - 1 (CE eq. 2): the sum of 1/n over the hidden widths.

    >>> fan_in_sum(Mlp(widths=[20, 20, 10]))
    0.2
    """
    return math.fsum(1 / width for width in member_of(model).widths)


def multiplicity_of(model: Model) -> int:
    """Number of members; 1 for a network that is no ensemble."""
    return model.multiplicity if isinstance(model, Ensemble) else 1


def ratio_widths(model: Model, ratio: float) -> tuple[int, ...]:
    """The hidden widths times a ratio, rounded, and at least 1 (CE Algorithm 1)."""
    return tuple(max(1, round(ratio * width)) for width in member_of(model).widths)


def member_with(model: Model, widths: tuple[int, ...]) -> Mlp:
    """One member of a model's family, at other widths."""
    return member_of(model).model_copy(update={"widths": widths})


def ensemble_with(model: Model, widths: tuple[int, ...], multiplicity: int) -> Ensemble:
    """The ensemble of a model's family at other widths and multiplicity."""
    return Ensemble(multiplicity=multiplicity, member=member_with(model, widths))

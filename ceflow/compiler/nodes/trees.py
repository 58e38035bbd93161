"""The union of all kinds of layers, and walks through trees of them."""

import math
from collections.abc import Iterator
from dataclasses import replace

from ceflow.compiler.nodes.base import units
from ceflow.compiler.nodes.composed import Chain, Ensemble, External, Residual, TokenMixing
from ceflow.compiler.nodes.linear import Attention, Convolution, Dense
from ceflow.compiler.nodes.pointwise import (
    Activation,
    BatchNorm,
    Dropout,
    LayerNorm,
    PositionEmbedding,
    Scale,
)
from ceflow.compiler.nodes.pools import AveragePool, Flatten, MaxPool

Node = (
    Dense
    | Convolution
    | Activation
    | BatchNorm
    | LayerNorm
    | Scale
    | PositionEmbedding
    | Dropout
    | Attention
    | MaxPool
    | AveragePool
    | Flatten
    | Residual
    | Chain
    | Ensemble
    | External
    | TokenMixing
)


def every(node: Node) -> Iterator[Node]:
    """Yield all layers of a tree, including those that hold others."""
    yield node
    for inner in node.inner:
        yield from every(inner)


def leaves(node: Node, times: int = 1) -> Iterator[tuple[int, Node]]:
    """Yield the layers of a tree that hold no others, each with its number of copies."""
    if not node.inner:
        yield times, node
    for inner in node.inner:
        yield from leaves(inner, times * node.copies)


def by_products(node: Node) -> Node:
    """Return the tree with its convolutions computed by matrix products."""
    match node:
        case Convolution():
            return replace(node, as_products=True)
        case Chain(layers=layers):
            return Chain(tuple(map(by_products, layers)))
        case Residual(body=body, shortcut=shortcut):
            return Residual(by_products(body), shortcut and by_products(shortcut))
        case Ensemble(multiplicity=multiplicity, member=member):
            return Ensemble(multiplicity, by_products(member))
        case _:
            return node


def zero_ended(node: Node) -> Node:
    """Return the tree whose outputs start at 0 if they are those of a batch normalisation, or of an
    ensemble of such; otherwise the same tree.

    >>> norm = zero_ended(Chain((Dense(2, 3, 1.0, 0.0), BatchNorm(3)))).layers[-1]
    >>> norm.initial, norm.title
    (0.0, 'batch-norm from 0')
    """
    match node:
        case BatchNorm():
            return replace(node, initial=0.0)
        case Chain(layers=layers):
            return Chain((*layers[:-1], zero_ended(layers[-1])))
        case Ensemble(multiplicity=multiplicity, member=member):
            return Ensemble(multiplicity, zero_ended(member))
        case _:
            return node


def values(root: Node) -> float:
    """Count the values between layers in a forward pass of one example."""
    return sum(times * units(layer.outputs) for times, layer in leaves(root))


def is_finite(node: Node) -> bool:
    """Tell whether every layer has a finite width."""
    return math.isfinite(node.parameters)

"""The layers of a network as branches of a tree."""

import math
from collections.abc import Iterator
from itertools import groupby

from rich.tree import Tree

from ceflow.blocks import counted, number
from ceflow.compiler import Plan, nodes
from ceflow.spec import flops_text


def costs(node: nodes.Node) -> str:
    """Write parameters and FLOPs in words."""
    if math.isinf(node.parameters):
        return "infinitely wide"
    return f"{counted(node.parameters, 'parameter')}, {flops_text(node.flops)} an example"


def add_network(tree: Tree, plan: Plan) -> None:
    """Add the layers of a plan's network; with a bottleneck, those of both halves."""
    if not plan.model.parts:
        add_layers(tree, plan.root)
    for name, part in plan.model.parts.items():
        node = plan.expand(part)
        add_layers(tree.add(f"{name}  {costs(node)}"), node)


def add_layers(tree: Tree, node: nodes.Node) -> None:
    """Add layers in order; successive equal layers are shown once, with their number."""
    layers = node.layers if isinstance(node, nodes.Chain) else (node,)
    for (line, layer), alike in groupby(_lines(layers)):
        count = len(list(alike))
        branch = tree.add(f"{line}  x {count}" if count > 1 else line)
        _add_inner(branch, layer)


def _lines(layers: tuple[nodes.Node, ...]) -> Iterator[tuple[str, nodes.Node]]:
    """Yield one line per layer, and the layer; a layer that keeps the shape is added to the line
    before, unless that is followed by the layers inside it.
    """
    line, shown = "", None
    for layer in layers:
        if shown and layer.suffix and (not shown.inner or _is_plain(shown)):
            line += f", {layer.suffix}"
            continue
        if shown:
            yield line, shown
        line, shown = _line(layer), layer
    if shown:
        yield line, shown


def _line(node: nodes.Node) -> str:
    if isinstance(node, nodes.Ensemble):
        return f"{counted(node.multiplicity, 'member')}, each {costs(node.member)}"
    if node.suffix:
        return f"{node.suffix} {_shape(node.inputs)}"
    return f"{node.title} {_shape(node.inputs)} → {_shape(node.outputs)}"


def _add_inner(branch: Tree, node: nodes.Node) -> None:
    """Add the layers inside a layer; a residual connection of convolutions takes one line."""
    if not isinstance(node, nodes.Residual):
        for inner in node.inner:
            add_layers(branch, inner)
    elif _is_plain(node):
        shortcut = f"; shortcut {_kernels(node.shortcut)}" if node.shortcut else ""
        branch.add(_kernels(node.body) + shortcut)
    else:
        add_layers(branch, node.body)
        if node.shortcut:
            add_layers(branch.add("shortcut"), node.shortcut)


PLAIN = (nodes.Residual, nodes.Chain, nodes.Convolution, nodes.BatchNorm, nodes.Activation)
"""Layers of residual connections that are shown by their convolutions alone."""


def _is_plain(node: nodes.Node) -> bool:
    """Tell whether a residual connection holds only convolutions, with norms and activations."""
    if not isinstance(node, nodes.Residual):
        return False
    inner = [layer for branch in node.inner for layer in nodes.every(branch)]
    nested = any(isinstance(layer, nodes.Residual) for layer in inner)
    return not nested and all(isinstance(layer, PLAIN) for layer in inner)


def _kernels(node: nodes.Node) -> str:
    """Write kernels and channels, such as 1x1 128, 3x3 128 in 32 groups, 1x1 256."""
    convolutions = (one for _, one in nodes.leaves(node) if isinstance(one, nodes.Convolution))
    return ", ".join(
        f"{one.size} {number(one.channels)}"
        + (f" in {number(one.groups)} groups" if one.groups > 1 else "")
        for one in convolutions
    )


def _shape(shape: nodes.Shape) -> str:
    return " x ".join(map(number, shape)) if isinstance(shape, tuple) else number(shape)

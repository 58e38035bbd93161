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
    if isinstance(node, nodes.Ensemble):
        members = counted(node.multiplicity, "member")
        branch = tree.add(f"{members}, each {costs(node.member)}")
        add_layers(branch, node.member)
        return
    layers = node.layers if isinstance(node, nodes.Chain) else (node,)
    for (line, inside), alike in groupby(_lines(layers)):
        count = len(list(alike))
        branch = tree.add(f"{line}  x {count}" if count > 1 else line)
        if inside:
            branch.add(inside)


def _lines(layers: tuple[nodes.Node, ...]) -> Iterator[tuple[str, str]]:
    """Yield one line per layer, and its contents; a layer that keeps the shape is added to the line
    before.
    """
    line, inside = "", ""
    for layer in layers:
        if line and layer.suffix:
            line += f", {layer.suffix}"
            continue
        if line:
            yield line, inside
        line, inside = _line(layer), _branches(layer)
    yield line, inside


def _line(node: nodes.Node) -> str:
    return f"{node.title} {_shape(node.inputs)} → {_shape(node.outputs)}"


def _branches(node: nodes.Node) -> str:
    """Write the convolutions inside a residual connection."""
    if not isinstance(node, nodes.Residual):
        return ""
    shortcut = f"; shortcut {_kernels(node.shortcut)}" if node.shortcut else ""
    return _kernels(node.body) + shortcut


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

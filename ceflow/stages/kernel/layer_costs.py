"""What each layer adds to the work and the memory of a drawn kernel."""

from typing import NamedTuple

from ceflow.compiler import nodes


class Asked(NamedTuple):
    """A kernel that is asked for: its rows, the outputs, and pairs of outputs in an entry."""

    rows: int
    outputs: int
    pairs: int


class LayerCost(NamedTuple):
    """The cost that one layer adds to a kernel."""

    features: float = 0.0
    """Numbers kept of an example."""
    flops: float = 0.0
    """Operations over all pairs of examples."""


def layer_cost(node: nodes.Node, asked: Asked) -> LayerCost:
    """Count the cheaper of what the empirical NTK can do: contract signals and gradients of a layer
    over its positions, or form the gradient of its weights."""
    if isinstance(node, nodes.BatchNorm):
        return _formed(node, asked, 1)
    if isinstance(node, nodes.Dense):
        return _contracted(node, asked, 1)
    if isinstance(node, nodes.Convolution):
        _, height, width = node.outputs
        ways = (way(node, asked, height * width) for way in (_contracted, _formed))
        return min(ways, key=lambda cost: cost.flops)
    # the values of an image and their gradients pass through the memory
    images = isinstance(node.inputs, tuple)
    return LayerCost((1 + asked.outputs) * nodes.units(node.inputs) * images)


def _contracted(node: nodes.Dense | nodes.Convolution, asked: Asked, positions: int) -> LayerCost:
    given = nodes.units(node.outputs)
    out = given / (node.groups * positions)
    meeting = asked.rows**2 * node.groups * positions**2
    return LayerCost(
        node.groups * node.fan_in * positions + asked.outputs * given,
        2 * meeting * (node.fan_in + asked.pairs * out),
    )


def _formed(node: nodes.Convolution | nodes.BatchNorm, asked: Asked, positions: int) -> LayerCost:
    forming = asked.rows * asked.outputs * positions
    return LayerCost(
        asked.outputs * node.parameters,
        2 * node.parameters * (forming + asked.rows**2 * asked.pairs),
    )


CONVOLVING = 20
"""How much slower than matrix products convolutions of small images are on a CPU (measured: 8 to
50 times, 8 x 8 pixels)."""


def passing_flops(root: nodes.Node) -> float:
    """Count one pass through a network, in operations of matrix products."""
    return sum(
        times * node.flops * (CONVOLVING if isinstance(node, nodes.Convolution) else 1)
        for times, node in nodes.leaves(root)
    )


def compilations(root: nodes.Node) -> float:
    """Count small functions' worth; the Jacobians of batch normalisation take longest."""
    norms = [isinstance(node, nodes.BatchNorm) for _, node in nodes.leaves(root)]
    return len(norms) / 3 + sum(norms)

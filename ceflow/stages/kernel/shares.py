"""What each layer adds to the work and the memory of a drawn kernel."""

from typing import NamedTuple

from ceflow.compiler import nodes


class Asked(NamedTuple):
    """Of a kernel: its rows, the network's outputs, and the pairs of outputs in an entry."""

    rows: int
    outputs: int
    pairs: int


class Share(NamedTuple):
    """One layer's: numbers kept of an example, and operations over all pairs of examples."""

    features: float = 0.0
    flops: float = 0.0


def share_of(node: nodes.Node, asked: Asked) -> Share:
    """The cheaper of what the empirical NTK can do: contract signals and gradients of a layer over
    its positions, or form the gradient of its weights."""
    if isinstance(node, nodes.BatchNorm):
        return _formed(node, asked, 1)
    if isinstance(node, nodes.Dense):
        return _contracted(node, asked, 1)
    if isinstance(node, nodes.Convolution):
        _, height, width = node.outputs
        ways = (way(node, asked, height * width) for way in (_contracted, _formed))
        return min(ways, key=lambda share: share.flops)
    # the values of an image and their gradients pass through the memory
    return Share((1 + asked.outputs) * nodes.units(node.inputs) * isinstance(node.inputs, tuple))


def _contracted(node: nodes.Dense | nodes.Convolution, asked: Asked, positions: int) -> Share:
    given = nodes.units(node.outputs)
    out = given / (node.groups * positions)
    meeting = asked.rows**2 * node.groups * positions**2
    return Share(
        node.groups * node.fan_in * positions + asked.outputs * given,
        2 * meeting * (node.fan_in + asked.pairs * out),
    )


def _formed(node: nodes.Convolution | nodes.BatchNorm, asked: Asked, positions: int) -> Share:
    forming = asked.rows * asked.outputs * positions
    return Share(
        asked.outputs * node.parameters,
        2 * node.parameters * (forming + asked.rows**2 * asked.pairs),
    )


CONVOLVING = 20
"""How much slower than matrix products convolutions of small images are on a CPU (measured: 8 to
50 times, 8 x 8 pixels)."""


def passing_flops(root: nodes.Node) -> float:
    """Of one pass through a network, in operations of matrix products."""
    return sum(
        times * node.flops * (CONVOLVING if isinstance(node, nodes.Convolution) else 1)
        for times, node in nodes.leaves(root)
    )


def compilations(root: nodes.Node) -> float:
    """Small functions' worth; the Jacobians of batch normalisation take longest."""
    norms = [isinstance(node, nodes.BatchNorm) for _, node in nodes.leaves(root)]
    return len(norms) / 3 + sum(norms)

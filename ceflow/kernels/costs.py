"""The costs of each way to a kernel, counted on layers and on sizes of products. Loads no JAX."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ceflow.compiler import nodes
from ceflow.costs import Demand, Work

CONVOLVING = 20
"""How much slower than matrix products convolutions of small images are on a CPU (measured: 8 to
50 times, 8 x 8 pixels)."""


class Shape(NamedTuple):
    """The shape of the kernel that is asked for; `itself` where x2 is x1."""

    n1: int
    n2: int
    outputs: int
    trace: bool
    itself: bool

    @property
    def pairs(self) -> int:
        """The pairs of outputs, in a block of the result."""
        return self.outputs if self.trace else self.outputs**2

    @property
    def entries(self) -> int:
        """Numbers for one pair of examples."""
        return 1 if self.trace else self.outputs**2

    @property
    def size(self) -> int:
        """Numbers in all."""
        return self.n1 * self.n2 * self.entries


def formed_flops(weights: float, free: int, examples: int, asked: Shape) -> float:
    """Count the flops of a kernel by the gradient of each of so many weights, for so many examples:
    a sum over the free index, then a product for each entry."""
    return 2 * weights * (examples * asked.outputs * free + asked.n1 * asked.n2 * asked.pairs)


def met_flops(meetings: float, contracted: float, out: float, asked: Shape) -> float:
    """Count the flops of as many entries of the two factors of `(h_p.h'_p')(delta_p.delta'_p')`, a
    Gram matrix over the free index, which forms no gradient."""
    return 2 * meetings * (contracted + asked.pairs * out)


def analytic_cost(
    root: nodes.Node, asked: Shape, inputs: int, itemsize: int, *, positions: int = 1
) -> Demand:
    """Count a kernel at infinite width: pairs of examples through all layers, of a block at each of
    its positions."""
    layers = _layers(root)
    work = Work(
        traffic=itemsize * asked.size * (2 * inputs + 30 * layers * positions),
        compilations=1 + layers / 3,
    )
    return Demand(itemsize * (6 * asked.size + 3 * asked.n1 * inputs), work)


def conditional_cost(
    root: nodes.Node, asked: Shape, units: float, members: float, itemsize: int
) -> Demand:
    """Count draws of so many members without their weights: of each layer, `units` in all, the
    columns that examples see, and two decompositions of as many."""
    rows = asked.n1
    columns = rows * (1 + asked.outputs)
    work = Work(
        flops=members * units * (6 * rows**2 + 6 * columns**2),
        traffic=members * itemsize * 20 * units * columns,
        normals=members * units * columns,
        compilations=4 + _layers(root),
    )
    return Demand(itemsize * (4 * rows**2 + 4 * units * columns), work)


@dataclass(frozen=True)
class Drawn:
    """The empirical NTK of a network that is drawn: its weights, the features of each example, and
    the matrix with its temporaries."""

    root: nodes.Node
    asked: Shape
    itemsize: int

    def cost(self, draws: float, members: int) -> Demand:
        """Count so many draws of a network of so many members, one draw after the other."""
        rows, outputs = self.asked.n1, self.asked.outputs
        contractions = math.fsum(times * layer.flops for times, layer in self._layers)
        moved = 5 * self._features + 2 * len(self._layers) * members * self.asked.size
        work = Work(
            flops=draws * (contractions + rows * (outputs + 1) * passing_flops(self.root)),
            traffic=draws * self.itemsize * moved,
            normals=draws * self.root.parameters,
            compilations=2 + _compilations(self.root),
        )
        held = 4 * self.asked.size + 2 * self._features + 2 * self.root.parameters
        return Demand(self.itemsize * held, work)

    @property
    def is_heavy(self) -> bool:
        """Whether the weights take more than all that examples take."""
        return self.root.parameters > 3 * self.asked.size + self._features

    @cached_property
    def _layers(self) -> "list[tuple[int, LayerCost]]":
        return [(times, layer_cost(node, self.asked)) for times, node in nodes.leaves(self.root)]

    @cached_property
    def _features(self) -> float:
        return self.asked.n1 * math.fsum(times * layer.features for times, layer in self._layers)


class LayerCost(NamedTuple):
    """The numbers and operations that one layer adds to a drawn kernel."""

    features: float = 0.0
    """Numbers kept of an example."""
    flops: float = 0.0
    """Operations over all pairs of examples."""


def layer_cost(node: nodes.Node, asked: Shape) -> LayerCost:
    """Count the cheaper of what the empirical NTK can do: contract signals and gradients of a layer
    over its positions, or form the gradient of its weights."""
    if isinstance(node, nodes.BatchNorm):
        return _formed(node, asked, 1)
    if isinstance(node, nodes.Dense):
        return _met(node, asked, 1)
    if isinstance(node, nodes.Convolution):
        _, height, width = node.outputs
        ways = (way(node, asked, height * width) for way in (_met, _formed))
        return min(ways, key=lambda cost: cost.flops)
    # the values of an image and their gradients pass through the memory
    images = isinstance(node.inputs, tuple)
    return LayerCost((1 + asked.outputs) * nodes.units(node.inputs) * images)


def _met(node: nodes.Dense | nodes.Convolution, asked: Shape, positions: int) -> LayerCost:
    given = nodes.units(node.outputs)
    meetings = asked.n1 * asked.n2 * node.groups * positions**2
    flops = met_flops(meetings, node.fan_in, given / (node.groups * positions), asked)
    return LayerCost(node.groups * node.fan_in * positions + asked.outputs * given, flops)


def _formed(node: nodes.Convolution | nodes.BatchNorm, asked: Shape, positions: int) -> LayerCost:
    flops = formed_flops(node.parameters, positions, asked.n1, asked)
    return LayerCost(asked.outputs * node.parameters, flops)


def passing_flops(root: nodes.Node) -> float:
    """Count one pass through a network, in operations of matrix products."""
    return sum(
        times * node.flops * (CONVOLVING if isinstance(node, nodes.Convolution) else 1)
        for times, node in nodes.leaves(root)
    )


def _compilations(root: nodes.Node) -> float:
    """Count small functions' worth; the Jacobians of batch normalisation take longest."""
    norms = [isinstance(node, nodes.BatchNorm) for _, node in nodes.leaves(root)]
    return len(norms) / 3 + sum(norms)


def _layers(root: nodes.Node) -> int:
    """Count the layers that are compiled: those of an ensemble's members are at once."""
    return sum(1 for _ in nodes.leaves(root))

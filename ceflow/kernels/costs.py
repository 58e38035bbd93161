"""Costs of each method to compute a kernel, from layers and matrix sizes. Loads no JAX."""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from ceflow.compiler import nodes
from ceflow.costs import Demand, Work

CONVOLUTION_SLOWDOWN = 20
"""Time per flop of convolutions over that of matrix products, for small images on a CPU (measured:
8 to 50, for 8 x 8 pixels)."""


OUTPUT_BYTES, FEWEST_EXAMPLES = 64e6, 64
"""Bytes of the values of examples that pass through a network at once for their outputs, and the
number of examples that may take more, up to 1 GB."""

DRAW_SECONDS = 2e-3
"""Seconds to draw a small network and to start the programs that it passes through (measured)."""

SMALL_EIGH_FLOPS = 600
"""FLOPs that take as long as an eigendecomposition of a few hundred rows, which runs on one core,
per cube of their number (measured)."""

VALUES_PER_UNIT = 3
"""Numbers that a pass computes for each output of a layer."""

IMAGE_PASSES = 8
"""Numbers that a layer moves per pair of positions of images, in units of traffic (measured)."""

IMAGE_ENTRIES, IMAGE_COPIES = 2**18, 32
"""Pairs of positions of images in a batch, and numbers held for each (measured)."""

TRIED_IMAGES = 16
"""Largest number of images whose errors are bounded, if all pairs of positions are followed."""

PREDICTIVE_NODES = 40
"""Nodes of the Gauss-Hermite rule for probabilities of classes."""

PREDICTIVE_ENTRIES = 2**21
"""Numbers of one array of integrands for probabilities of classes that is held at once."""

MOST_ITERATIONS = 500
"""Maximum number of iterations of conjugate gradients."""

TYPICAL_ITERATIONS = 30
"""Number of iterations of conjugate gradients in a forecast."""

LANDMARKS = 512
"""Maximum number of examples whose columns make the preconditioner."""

COLUMN_COPIES = 8
"""Copies of the columns of the targets that conjugate gradients hold."""


class Shape(NamedTuple):
    """Shape of the requested kernel; `symmetric` is True if x2 is x1."""

    n1: int
    n2: int
    outputs: int
    trace: bool
    symmetric: bool

    @property
    def pairs(self) -> int:
        """Number of pairs of outputs that are computed for a pair of examples."""
        return self.outputs if self.trace else self.outputs**2

    @property
    def entries(self) -> int:
        """Numbers in the result per pair of examples."""
        return 1 if self.trace else self.outputs**2

    @property
    def size(self) -> int:
        """Numbers in the result."""
        return self.n1 * self.n2 * self.entries


OF_VECTORS = nodes.Dense | nodes.Activation | nodes.Chain | nodes.Ensemble
"""Layers that the recursion over vectors knows; with others, a vector is an image of one
position."""


def is_of_vectors(root: nodes.Node) -> bool:
    """Tell whether the kernel at infinite width follows norms and angles of vectors alone."""
    return all(isinstance(node, OF_VECTORS) for node in nodes.every(root))


def formed_flops(weights: float, free: int, examples: int, asked: Shape) -> float:
    """Count the flops of a kernel computed from per-example gradients of the weights.

    Forming a gradient is a sum over the free index; then each entry takes one product.
    """
    return 2 * weights * (examples * asked.outputs * free + asked.n1 * asked.n2 * asked.pairs)


def met_flops(meetings: float, contracted: float, out: float, asked: Shape) -> float:
    """Count the flops of a kernel computed without gradients, from Gram matrices over positions.

    They are the two factors of `(h_p.h'_p')(delta_p.delta'_p')`; `meetings` is the number of
    entries of each.
    """
    return 2 * meetings * (contracted + asked.pairs * out)


def examples_at_once(examples: int, size: float) -> int:
    """Return how many examples pass through a network at once for their outputs.

    `size` is the bytes of the values that a pass of one example computes. The parts are about
    equal, because the last one is padded.

    >>> examples_at_once(1000, 1e5), examples_at_once(1000, 1e7), examples_at_once(10, 1e12)
    (500, 63, 1)
    """
    fitting = max(OUTPUT_BYTES, min(FEWEST_EXAMPLES * size, 1e9)) / max(size, 1.0)
    return math.ceil(examples / math.ceil(examples / max(1, int(fitting))))


def analytic_cost(root: nodes.Node, asked: Shape, inputs: int, itemsize: int) -> Demand:
    """Count the cost of a kernel at infinite width, whose pairs of examples pass all layers."""
    if isinstance(root.inputs, tuple):
        return _images_cost(root, asked, itemsize)
    layers = _layers(root)
    work = Work(
        traffic=itemsize * asked.size * (2 * inputs + 30 * layers),
        compilations=1 + layers / 3,
    )
    return Demand(itemsize * (6 * asked.size + 3 * asked.n1 * inputs), work)


def _images_cost(root: nodes.Node, asked: Shape, itemsize: int) -> Demand:
    """Count the cost of a kernel of images, whose pairs of positions are followed.

    If the network pools, these are all pairs of positions of a pair of images, and each image is
    paired with itself too: for its variances, and some images for the bound on errors. Layers of
    the same kind and size are compiled once.
    """
    layers = [layer for _, layer in nodes.leaves(root)]
    power = 2 if any(layer.pools for layer in layers) else 1
    pairs = asked.n1 * (asked.n1 + 1) / 2 if asked.symmetric else asked.size
    if power == 2:
        pairs += asked.n1 + min(asked.n1, TRIED_IMAGES)
    passes = (IMAGE_PASSES * nodes.positions(layer.inputs) ** power for layer in layers)
    kinds = {(type(layer), layer.inputs, getattr(layer, "name", "")) for layer in layers}
    held = IMAGE_COPIES * max(IMAGE_ENTRIES, nodes.positions(root.inputs) ** power)
    held += 3 * asked.size + 3 * asked.n1 * nodes.units(root.inputs)
    work = Work(traffic=itemsize * pairs * math.fsum(passes), compilations=3 + 0.9 * len(kinds))
    return Demand(itemsize * held, work)


def conditional_cost(
    root: nodes.Node, asked: Shape, units: float, members: float, itemsize: int
) -> Demand:
    """Count the cost of drawing the NTKs of `members` members without their weights.

    For each layer (`units` in all), the columns that the examples meet are drawn and decomposed
    twice.
    """
    rows = asked.n1
    columns = rows * (1 + asked.outputs)
    work = Work(
        flops=members * units * (6 * rows**2 + 6 * columns**2),
        traffic=members * itemsize * 20 * units * columns,
        normals=members * units * columns,
        compilations=4 + _layers(root),
    )
    return Demand(itemsize * (4 * rows**2 + 4 * units * columns), work)


def conditional_outputs_cost(
    root: nodes.Node, asked: Shape, units: float, members: float, itemsize: int
) -> Demand:
    """Count the cost of drawing the outputs of `members` members without their weights.

    Each layer is drawn with the root of its covariance over the examples.
    """
    rows, layers = asked.n1, _layers(root)
    roots = SMALL_EIGH_FLOPS * (layers + 1) / 2 * rows**3
    work = Work(
        flops=members * (4 * units * rows**2 + roots),
        traffic=members * itemsize * 10 * units * rows,
        normals=members * units * rows,
        compilations=4 + layers,
        seconds=members * DRAW_SECONDS / 2,
    )
    return Demand(itemsize * (8 * rows**2 + 4 * units * rows), work)


@dataclass(frozen=True)
class Drawn:
    """Cost model of the empirical NTK and NNGP of random networks.

    It counts the weights, the features or values of each example, and the kernel with its
    temporaries.
    """

    root: nodes.Node
    asked: Shape
    itemsize: int
    is_ntk: bool = True

    def cost(self, draws: float, members: int) -> Demand:
        """Count the cost of `draws` networks of `members` members each, one after the other."""
        found = self._ntk_work(members) if self.is_ntk else self._nngp_work()
        work = Work(
            flops=draws * found.flops,
            traffic=draws * found.traffic,
            normals=draws * self.root.parameters,
            compilations=2 + found.compilations,
            seconds=draws * DRAW_SECONDS,
        )
        held = 4 * self.asked.size + self._values + 2 * self.root.parameters
        return Demand(self.itemsize * held, work)

    def _ntk_work(self, members: int) -> Work:
        rows, outputs = self.asked.n1, self.asked.outputs
        contractions = math.fsum(times * layer.flops for times, layer in self._layers)
        moved = 2.5 * self._values + 2 * len(self._layers) * members * self.asked.size
        return Work(
            flops=contractions + rows * (outputs + 1) * passing_flops(self.root),
            traffic=self.itemsize * moved,
            compilations=_compilations(self.root),
        )

    def _nngp_work(self) -> Work:
        rows, size = self.asked.n1, self.asked.size
        return Work(
            flops=rows * (passing_flops(self.root) + 2 * rows * self.asked.pairs),
            traffic=self.itemsize * (3 * size + rows * self._values_of_one),
            compilations=_compilations(self.root) / 3,
        )

    @property
    def is_heavy(self) -> bool:
        """Whether the weights take more memory than the kernel and the values of examples."""
        return self.root.parameters > 3 * self.asked.size + self._values / 2

    @property
    def _values(self) -> float:
        """Numbers that are held for examples: twice the features for an NTK, and for an NNGP the
        values of those that pass through the network at once.
        """
        if self.is_ntk:
            features = math.fsum(times * layer.features for times, layer in self._layers)
            return 2 * self.asked.n1 * features
        together = examples_at_once(self.asked.n1, self.itemsize * self._values_of_one)
        return together * self._values_of_one

    @property
    def _values_of_one(self) -> float:
        return VALUES_PER_UNIT * _units(self.root)

    @cached_property
    def _layers(self) -> "list[tuple[int, LayerCost]]":
        return [(times, layer_cost(node, self.asked)) for times, node in nodes.leaves(self.root)]


class LayerCost(NamedTuple):
    """Numbers and operations that one layer adds to an empirical kernel."""

    features: float = 0.0
    """Numbers kept per example."""
    flops: float = 0.0
    """Operations over all pairs of examples."""


def layer_cost(node: nodes.Node, asked: Shape) -> LayerCost:
    """Count the cost of a layer in the empirical NTK, by the cheaper of two methods.

    Either contract the layer's inputs and output gradients over positions, or form the gradient of
    its weights.
    """
    if isinstance(node, nodes.Dense):
        return _met(node, asked, 1)
    if isinstance(node, nodes.Convolution):
        _, height, width = node.outputs
        ways = (way(node, asked, height * width) for way in (_met, _formed))
        return min(ways, key=lambda cost: cost.flops)
    if node.parameters:
        return _formed(node, asked, 1)
    # the values of an image and their gradients pass through memory
    images = isinstance(node.inputs, tuple)
    return LayerCost((1 + asked.outputs) * nodes.units(node.inputs) * images)


def _met(node: nodes.Dense | nodes.Convolution, asked: Shape, positions: int) -> LayerCost:
    given = nodes.units(node.outputs)
    meetings = asked.n1 * asked.n2 * node.groups * positions**2
    flops = met_flops(meetings, node.fan_in, given / (node.groups * positions), asked)
    return LayerCost(node.groups * node.fan_in * positions + asked.outputs * given, flops)


def _formed(node: nodes.Node, asked: Shape, positions: int) -> LayerCost:
    flops = formed_flops(node.parameters, positions, asked.n1, asked)
    return LayerCost(asked.outputs * node.parameters, flops)


def _units(root: nodes.Node) -> float:
    """Count the outputs of all layers."""
    return math.fsum(times * nodes.units(node.outputs) for times, node in nodes.leaves(root))


def passing_flops(root: nodes.Node) -> float:
    """Count one forward pass, in the time of equivalent matrix-product flops."""
    return sum(
        times * node.flops * (CONVOLUTION_SLOWDOWN if isinstance(node, nodes.Convolution) else 1)
        for times, node in nodes.leaves(root)
    )


def _compilations(root: nodes.Node) -> float:
    """Count compilations, in units of a small function; batch normalisation takes longest."""
    norms = [isinstance(node, nodes.BatchNorm) for _, node in nodes.leaves(root)]
    return len(norms) / 3 + sum(norms)


def _layers(root: nodes.Node) -> int:
    """Count the layers to compile; those of an ensemble's members are compiled once."""
    return sum(1 for _ in nodes.leaves(root))


def landmarks(rows: int) -> int:
    """Return the number of examples whose columns of a kernel make the preconditioner."""
    return min(LANDMARKS, max(1, rows // 4))


def conjugate_cost(rows: int, outputs: int, itemsize: int, iterations: int) -> Demand:
    """Count conjugate gradients on a kernel that is read once in each iteration."""
    rank = landmarks(rows)
    work = Work(
        flops=2 * (iterations + 1) * rows * (rows + 2 * rank) * outputs + 4 * rows * rank**2,
        traffic=(iterations + 3) * itemsize * rows**2,
    )
    return Demand(8 * rows * (3 * rank + COLUMN_COPIES * outputs), work)

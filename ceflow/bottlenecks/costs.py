"""Costs of simulations, and the sizes of their batches of work. Loads no JAX."""

import math
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from ceflow._machine import MEMORY  # of Theta; beyond, its rows are made as needed
from ceflow.compiler import nodes
from ceflow.compiler.models import expand
from ceflow.costs import Demand, Work
from ceflow.kernels.costs import Shape, analytic_cost, is_of_vectors
from ceflow.spec import Bottleneck, scaled
from ceflow.spec.models import SLOPES
from ceflow.spec.models.segmented import Segmented

THETA_BYTES = 2**24
"""Largest number of bytes for rows of Theta that are computed at once."""

OUTPUTS_AT_ONCE = 512
"""Number of examples whose outputs are computed at once; each needs a layer's width of numbers."""

PAST_AT_ONCE = 4096
"""Number of past points processed at once, so that intermediates fit into the CPU's caches."""

SAMPLED_SIZE = 1000
"""Size of the bottleneck in a sampled network that stands for an infinite bottleneck."""

TRAINING_COMPILATIONS = 15
"""Compilation time of a training, in units of a small function."""

STEP_SECONDS = 2e-4
"""Seconds of a step of the smallest training."""

PAST_PAIR_NUMBERS = 25
"""Numbers of memory traffic that take as long as one pair of a point and a past point, of a
piecewise linear decoder with one hidden layer and no biases."""

DEEP_PAIR_NUMBERS = 110
"""The same for each hidden layer of another decoder: 70 to 170 were measured."""


@dataclass(frozen=True)
class Sampled:
    """Sizes of the finite network that is sampled to start from."""

    network: Segmented
    width: int
    inputs: int
    outputs: int

    @cached_property
    def root(self) -> nodes.Node:
        """The layers of the encoder."""
        limit = self._first.limit.encoder.at_width(self.width)
        return expand(limit.sized(inputs=limit.inputs or self.inputs, outputs=self.sizes[0]))

    @property
    def encoder(self) -> int:
        """Number of weights of the encoder."""
        return int(self.root.parameters)

    @property
    def layers(self) -> int:
        """Number of hidden layers of the encoder."""
        return len(self._first.encoder.widths)

    @property
    def theta(self) -> nodes.Node | None:
        """The layers through which Theta is computed at once; None if it follows norms and
        angles.
        """
        if follows_vectors(self._first):
            return None
        limit = self._first.limit.encoder if self.network.is_narrow else self.network.limit
        inputs = self._first.encoder.inputs or self.inputs
        return expand(limit.sized(inputs=inputs, outputs=1))

    @cached_property
    def decoders(self) -> tuple["SampledDecoder", ...]:
        """The decoder after each bottleneck."""
        ends = pairwise((*self.sizes, self.outputs))
        each = zip(self.network.bottlenecks, ends, strict=True)
        return tuple(SampledDecoder(network, self.width, *pair) for network, pair in each)

    @property
    def decoder(self) -> int:
        """Number of weights of all decoders."""
        return sum(decoder.weights for decoder in self.decoders)

    @property
    def depth(self) -> int:
        """Number of hidden layers of all decoders."""
        return sum(decoder.depth for decoder in self.decoders)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Say how many weights are sampled if decoders have n^2 of them between hidden layers;
        empty if none has.
        """
        if not self.network.is_narrow or all(decoder.depth < 2 for decoder in self.decoders):
            return ()
        weights = scaled(self.decoder).strip()
        return (f"{weights} sampled weights, {self.width:,}² between two hidden layers",)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Numbers of units of the bottlenecks."""
        return tuple(int(d) if d < math.inf else SAMPLED_SIZE for d in self.network.between)

    @property
    def _first(self) -> Bottleneck:
        return self.network.bottlenecks[0]


@dataclass(frozen=True)
class SampledDecoder:
    """Sizes of the decoder after a bottleneck."""

    network: Bottleneck
    width: int
    size: int
    outputs: int

    @property
    def weights(self) -> int:
        """Number of weights: n^2 between two hidden layers."""
        between = (self.depth - 1) * self.width**2
        biased = self.network.wide_decoder.bias_variance
        biases = self.depth * self.width + self.outputs if biased else 0
        return self.width * (self.size + self.outputs) + between + biases

    @property
    def depth(self) -> int:
        """Number of hidden layers."""
        return len(self.network.decoder.widths)

    @property
    def pair_numbers(self) -> float:
        """Numbers of memory traffic that take as long as one pair of a point and a past point."""
        network = self.network
        if network.has_plain_decoder and network.wide_decoder.activation in SLOPES:
            return PAST_PAIR_NUMBERS
        return DEEP_PAIR_NUMBERS * self.depth


@dataclass(frozen=True)
class SimulationSizes:
    """Sizes of a training by steps, for cost forecasts.

    `examples` counts training and test examples, and `moments` the recorded steps. `past` counts
    the points at which the decoder was trained, if the engine stores them, otherwise it is 0.
    `embeds` tells whether values in the bottleneck are recorded; `itemsize` is the bytes per
    number.
    """

    sampled: Sampled
    train: int
    examples: int
    batch: int
    steps: int
    moments: int
    past: int
    embeds: bool
    itemsize: int

    def demand(self) -> Demand:
        """Forecast memory and work."""
        return Demand(self._memory(), self._work())

    @cached_property
    def infinite(self) -> bool:
        """Whether the bottleneck is infinite."""
        return not self.sampled.network.is_narrow

    @cached_property
    def hidden(self) -> int:
        """Number of hidden units of the trained decoders; 0 if the bottleneck is infinite."""
        return 0 if self.infinite else self.sampled.depth * self.sampled.width

    @cached_property
    def state(self) -> int:
        """Numbers tracked per example: its values in the first bottleneck or, if that is infinite,
        its outputs."""
        return self.sampled.outputs if self.infinite else self.sampled.sizes[0]

    @cached_property
    def theta(self) -> int:
        """Number of entries of Theta: pairs of a training example and any example."""
        return self.train * self.examples

    @cached_property
    def kept(self) -> bool:
        """Whether Theta is kept in memory, as always if it is computed at once; otherwise its rows
        are computed when needed.
        """
        return self.sampled.theta is not None or self.theta * self.itemsize <= MEMORY

    @cached_property
    def embedding(self) -> int:
        """Numbers in the recorded values of the bottlenecks, at all moments."""
        return self.moments * sum(self.sampled.sizes) * self.examples if self.embeds else 0

    @cached_property
    def stored(self) -> int:
        """Numbers in all pasts: each holds a point and an error per past example."""
        ends = self.past and sum(each.size + each.outputs for each in self.sampled.decoders)
        return self.past * ends

    def _memory(self) -> float:
        """Count the bytes of the phase that needs most: computing Theta, or training."""
        number = self.itemsize
        theta = number * self.theta if self.kept else 0
        making = 2 * theta + 3 * number * self.sampled.encoder  # random bits and numbers
        behind = self.state if self.infinite else sum(self.sampled.sizes)
        rates = 8 * 4 * self.batch * (self.batch + self.sampled.outputs * behind)
        training = theta + number * (self._moving() + self._passing()) + rates
        making += self._at_once.memory
        inputs = (2 * 8 + 4 * number) * self.examples * self.sampled.inputs  # for `remarks`
        sampled = number * (self.sampled.encoder + self.sampled.decoder)
        return inputs + sampled + max(making, training)

    def _moving(self) -> float:
        """Count the numbers in states before and after steps, weight changes, and records."""
        outputs = self.sampled.outputs
        return (
            (4 * self.state + 2 * outputs) * self.examples
            + (0 if self.infinite else 5 * self.sampled.decoder)
            + 4 * self.stored
            + 2 * self.embedding
        )

    def _passing(self) -> float:
        """Count the numbers in rows of Theta, and in the hidden layer for a batch of examples."""
        rows = max(5 * THETA_BYTES / self.itemsize, 3 * self.batch * self.examples)
        most = max(decoder.outputs for decoder in self.sampled.decoders)
        outputs = most if self.past else 1  # the slopes of each are kept
        hidden = 3 * max(OUTPUTS_AT_ONCE, outputs * self.batch) * self.hidden
        return rows + hidden + (6 * OUTPUTS_AT_ONCE * PAST_AT_ONCE if self.past else 0)

    def _work(self) -> Work:
        """Count the work: rows of Theta, passes through the decoder, moving all points per step,
        and for an engine with a past, all pairs of points with past points."""
        passed = self.steps * self.batch
        rows = self.theta if self.kept else passed * self.examples
        layers = self.sampled.layers + self.infinite
        looks = (self.moments + 2) * self.examples
        pairs = self.past * (self.past / 2 + looks)
        decoder, decoders = 0 if self.infinite else self.sampled.decoder, self.sampled.decoders
        flops = (
            2 * rows * self.sampled.inputs
            + self.examples * self.sampled.root.flops
            + (6 * passed + 2 * looks) * decoder
            + 2 * passed * self.examples * self.state
            + 4 * pairs * sum(each.size * (1 + each.outputs) for each in self.sampled.decoders)
        )
        moved = decoder + 2 * self.state * self.examples
        traffic = 30 * layers * rows + (3 * passed + looks) * self.hidden + self.steps * moved
        traffic += pairs * sum(each.pair_numbers for each in decoders)
        work = Work(
            flops=flops,
            traffic=self.itemsize * traffic,
            normals=self.sampled.encoder + self.sampled.decoder,
            compilations=TRAINING_COMPILATIONS,
            seconds=STEP_SECONDS * self.steps,
        )
        return work.plus(self._at_once.work)

    @cached_property
    def _at_once(self) -> Demand:
        """Cost of Theta if it is computed at once."""
        return theta_at_once(self.sampled, self.train, self.examples, self.itemsize)


def follows_vectors(network: Bottleneck) -> bool:
    """Tell whether Theta is a function of the norms and angles of vectors alone."""
    encoder = network.encoder
    if encoder.takes_images or isinstance(encoder.inputs, tuple):
        return False
    return is_of_vectors(expand(encoder.sized(inputs=1, outputs=1)))


def theta_at_once(sampled: Sampled, train: int, examples: int, itemsize: int) -> Demand:
    """Forecast the cost of Theta if it is computed at once; nothing if it follows angles."""
    root = sampled.theta
    if root is None:
        return Demand(0.0, Work())
    own = analytic_cost(root, Shape(train, train, 1, True, True), sampled.inputs, itemsize)
    tests = Shape(train, examples - train, 1, True, False)
    others = analytic_cost(root, tests, sampled.inputs, itemsize)
    return Demand(max(own.memory, others.memory), own.work.plus(others.work))


def images_at_once(shape: tuple[int, ...]) -> int:
    """Return the number of examples of a shape that are embedded at once.

    >>> images_at_once((784,)), images_at_once((3, 32, 32))
    (512, 4)
    """
    return max(1, min(OUTPUTS_AT_ONCE, 8 * OUTPUTS_AT_ONCE // math.prod(shape[1:])))

"""The costs of simulations, and the sizes of the pieces in which they are cut. Loads no JAX."""

import math
from dataclasses import dataclass
from functools import cached_property

from ceflow._machine import MEMORY as MEMORY  # of Theta; beyond, its rows are made as needed
from ceflow.costs import Demand, Work
from ceflow.spec import Bottleneck

ROWS = 2**24
"""Bytes that the rows of Theta may take that are made at once."""

CHUNK = 512
"""Examples whose outputs are computed at once: one takes as many numbers as a layer has units."""

PAST = 4096
"""Past points at once: intermediates of a batch then stay in the processor's caches."""

LARGE = 1000
"""Units of the bottleneck of a sampled network, where it should have infinitely many."""

COMPILATIONS = 25
"""Small functions' worth of compiling, of a training."""

PAIR = 100
"""Bytes of traffic that a pair of a point and a past point costs as much as."""


@dataclass(frozen=True)
class Sampled:
    """A network as it is sampled to begin with, at a width."""

    network: Bottleneck
    width: int
    inputs: int
    outputs: int

    @property
    def encoder(self) -> int:
        """Weights of the encoder."""
        layers, n = len(self.network.encoder.widths), self.width
        return n * (self.inputs + (layers - 1) * n + self._bottleneck)

    @property
    def decoder(self) -> int:
        """Weights of the decoder."""
        return self.width * (self._bottleneck + self.outputs)

    @property
    def _bottleneck(self) -> int:
        return LARGE if self.network.size == math.inf else int(self.network.size)


@dataclass(frozen=True)
class SimulationSizes:
    """The sizes of everything in a training by steps, in numbers of so many bytes.

    `examples` are those of training and of test, `moments` how often something is recorded, and
    `past` the points at which the decoder is trained, where all are kept.
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
        """Count Theta, kept or made row by row, the sampled network, the state, and records."""
        return Demand(self._memory(), self._work())

    @cached_property
    def infinite(self) -> bool:
        """True where the bottleneck is."""
        return self.sampled.network.size == math.inf

    @cached_property
    def hidden(self) -> int:
        """Units of the decoder that moves."""
        return 0 if self.infinite else self.sampled.width

    @cached_property
    def state(self) -> int:
        """The size of an example whose path is followed: its place in the bottleneck, or output."""
        return self.sampled.outputs if self.infinite else int(self.sampled.network.size)

    @cached_property
    def theta(self) -> int:
        """Pairs of a training example with any."""
        return self.train * self.examples

    @cached_property
    def kept(self) -> bool:
        """True where Theta is kept; else its rows are made as they are needed."""
        return self.theta * self.itemsize <= MEMORY

    @cached_property
    def embedding(self) -> int:
        """The size of the values in the bottleneck at all moments, where they are recorded."""
        return self.moments * self.state * self.examples if self.embeds else 0

    def _memory(self) -> float:
        """Count the bytes of the phase that needs most: Theta being made, the training."""
        number = self.itemsize
        theta = number * self.theta if self.kept else 0
        making = 2 * theta + 3 * number * self.sampled.encoder  # its generator's bits and numbers
        rates = 8 * 4 * self.batch * (self.batch + self.sampled.outputs * self.state)
        training = theta + number * (self._moving() + self._passing()) + rates
        inputs = (2 * 8 + 4 * number) * self.examples * self.sampled.inputs  # as compared
        sampled = number * (self.sampled.encoder + self.sampled.decoder)
        return inputs + sampled + max(making, training)

    def _moving(self) -> float:
        """Count the numbers of the state before and after steps, of the weights' changes, and of
        what is recorded."""
        outputs = self.sampled.outputs
        return (
            (4 * self.state + 2 * outputs) * self.examples
            + (0 if self.infinite else 5 * self.sampled.decoder)
            + 4 * self.past * (self.state + outputs)
            + 2 * self.embedding
        )

    def _passing(self) -> float:
        """Count the numbers of rows of Theta, and of the hidden layer of a batch or of what is
        looked at."""
        rows = max(5 * ROWS / self.itemsize, 3 * self.batch * self.examples)
        outputs = self.sampled.outputs if self.past else 1  # whose slopes are held
        hidden = 3 * max(CHUNK, outputs * self.batch) * self.hidden
        return rows + hidden + (6 * CHUNK * PAST if self.past else 0)

    def _work(self) -> Work:
        """Count rows of Theta; the decoder, forward on what is looked at and back on batches; all
        points moved in each step; of an engine that keeps its past all pairs with it."""
        passed = self.steps * self.batch
        rows = self.theta if self.kept else passed * self.examples
        layers = len(self.sampled.network.encoder.widths) + self.infinite
        looks = (self.moments + 2) * self.examples
        pairs = self.past * (self.past / 2 + looks)
        through, width = passed + looks, self.state + self.sampled.outputs
        flops = (
            2 * rows * self.sampled.inputs
            + 2 * self.examples * self.sampled.encoder
            + 6 * through * self.hidden * width
            + 2 * passed * self.examples * self.state
            + 4 * pairs * self.state * (1 + self.sampled.outputs)
        )
        moved = self.sampled.decoder + 2 * self.state * self.examples
        traffic = 30 * layers * rows + 8 * through * self.hidden + 4 * self.steps * moved
        return Work(
            flops=flops,
            traffic=self.itemsize * traffic + PAIR * pairs,
            normals=self.sampled.encoder + self.sampled.decoder,
            compilations=COMPILATIONS,
        )

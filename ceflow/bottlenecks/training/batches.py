"""The order in which training examples are seen."""

from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Int

from ceflow.seeding import Seed


@dataclass(frozen=True)
class Batches:
    """Mini-batches of `size` out of n examples, or all of them: any of them, whenever asked for.

    Epochs are random orders of the examples, one behind the other, so a batch may hold the end of
    one and the beginning of the next. Raises `ValueError` for a size that is not within 1 and n.

    >>> batches = Batches(4, 2, Seed(0))
    >>> sorted(batches.some(2, 2).ravel().tolist())   # an epoch
    [0, 1, 2, 3]
    """

    n: int
    size: int
    seed: Seed = field(default_factory=lambda: Seed(0))

    def __post_init__(self):
        if not 1 <= self.size <= self.n:
            raise ValueError(
                f"a batch of {self.size} examples cannot be drawn from {self.n}: give it between 1"
                f" and {self.n}"
            )

    @property
    def full(self) -> bool:
        """True where every batch is all examples."""
        return self.size == self.n

    def some(self, first: int, count: int) -> Int[np.ndarray, "count size"]:
        """Give batches first, first + 1, ..."""
        if self.full:
            return np.tile(np.arange(self.n), (count, 1))
        begin, end = first * self.size, (first + count) * self.size
        epochs = range(begin // self.n, -(-end // self.n))
        order = [self.seed.fold(epoch).numpy().permutation(self.n) for epoch in epochs]
        offset = begin - epochs.start * self.n
        return np.concatenate(order)[offset : offset + end - begin].reshape(count, self.size)

"""The training loop: mini-batches, records, and detection of instability."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ceflow.bottlenecks.costs import THETA_BYTES
from ceflow.bottlenecks.training.steps import Dynamics, State, advance
from ceflow.history import History
from ceflow.seeding import Seed


@dataclass(frozen=True)
class Batches:
    """Mini-batches of `size` out of n examples, with random access by the number of the step.

    Each epoch is a random order of the examples. Epochs are concatenated, so a batch may contain
    the end of one and the beginning of the next. If `size` is n, every batch is all examples.
    Raises `ValueError` unless `size` is between 1 and n.

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
        """Whether every batch is all examples."""
        return self.size == self.n

    def some(self, first: int, count: int) -> Int[np.ndarray, "count size"]:
        """Return the indices of examples in `count` batches, starting with batch `first`."""
        if self.full:
            return np.tile(np.arange(self.n), (count, 1))
        begin, end = first * self.size, (first + count) * self.size
        epochs = range(begin // self.n, -(-end // self.n))
        order = [self.seed.fold(epoch).numpy().permutation(self.n) for epoch in epochs]
        offset = begin - epochs.start * self.n
        return np.concatenate(order)[offset : offset + end - begin].reshape(count, self.size)


STEPS_AT_ONCE = 256
"""Largest number of steps in one call of the compiled program."""
UNSTABLE_GROWTH = 100.0
"""Factor by which the loss of a batch may exceed the initial mean loss; beyond, training is
unstable."""


@dataclass(frozen=True)
class Instability:
    """A training became unstable: its loss grew too large or stopped being finite."""

    step: int
    loss: float
    rate: float
    """Learning rate of the steps."""
    largest: float
    """Largest stable learning rate at the start."""

    def message(self, named: Callable[[float], str] = "{:.3g}".format) -> str:
        """Describe the instability in a sentence; `named` formats learning rates.

        >>> Instability(step=7, loss=1e4, rate=2.0, largest=0.6).message()
        'the learning rate 2 is too large: the loss grew to 1e+04 at step 7; at the start the \
largest stable one is 0.6; try 0.2 or less'
        """
        what = f"grew to {self.loss:.3g}" if np.isfinite(self.loss) else "stopped being finite"
        start = f"at the start the largest stable one is {named(self.largest)}"
        fallen = ", but that has fallen in training" if self.rate < self.largest else ""
        return (
            f"the learning rate {named(self.rate)} is too large: the loss {what} at step"
            f" {self.step}; {start}{fallen}; try {named(min(self.rate, self.largest) / 3)} or less"
        )


class Grown(Exception):
    """The mean loss of the training examples at a moment is too large: raised by what records it,
    which keeps nothing of that moment.
    """

    def __init__(self, loss: float):
        self.loss = loss


@dataclass(frozen=True)
class Training:
    """A finished training."""

    history: History
    """Records, by the number of steps before each."""
    losses: Float[np.ndarray, " steps"]
    """Mean loss of each batch, before its step."""
    state: State
    instability: Instability | None = None


def run(
    dynamics: Dynamics,
    state: State,
    batches: Batches,
    steps: range,
    *,
    moments: Collection[int],
    record: Callable[[int, State], Mapping[str, Any]],
    until: Callable[[Mapping[str, Any]], bool],
    observe: Callable[[int], None],
    reference: float,
    unstable: Callable[[int, float], Instability],
) -> Training:
    """Run all steps, in chunks for which rows of the kernel fit into memory."""
    ends = sorted({*moments, steps.stop} - {steps.start})
    longest = max((b - a for a, b in pairwise([steps.start, *ends])), default=1)
    length = _length(dynamics, state, batches.size, longest)
    lines, losses, now = [], [], steps.start
    if now in moments:
        lines.append({"step": now, **record(now, state)})
    for end in ends:
        if lines and until(lines[-1]):
            break
        while now < end:
            count = min(length, end - now)
            memory = dynamics.engine.room(state.memory, length * batches.size)
            some = jnp.asarray(batches.some(now, length))
            state, step_losses = advance(
                dynamics, state._replace(memory=memory), some, jnp.asarray(count)
            )
            losses.append(np.asarray(step_losses)[:count])
            grown = is_grown(losses[-1], reference)
            if grown.any():
                wrong = int(np.argmax(grown))
                trouble = unstable(now + wrong, float(losses[-1][wrong]))
                return Training(History.of_lines(lines), np.concatenate(losses), state, trouble)
            now += count
            observe(now)
        if end in moments:
            try:
                lines.append({"step": end, **record(end, state)})
            except Grown as grown:
                trouble = unstable(end, grown.loss)
                return Training(History.of_lines(lines), np.concatenate(losses), state, trouble)
    all_losses = np.concatenate(losses) if losses else np.zeros(0)
    return Training(History.of_lines(lines), all_losses, state)


def _length(dynamics: Dynamics, state: State, batch: int, steps: int) -> int:
    points = state.points
    fit = THETA_BYTES // (batch * len(points) * points.dtype.itemsize)
    return max(1, min(fit, STEPS_AT_ONCE, steps))


def is_grown(losses: np.ndarray, reference: float) -> np.ndarray:
    """Tell which mean losses are not finite, or too large beside that at the start.

    >>> is_grown(np.array([1.0, 101.0, np.nan]), 1.0).tolist()
    [False, True, True]
    """
    return ~(losses <= UNSTABLE_GROWTH * max(reference, float(np.finfo(np.float32).tiny)))

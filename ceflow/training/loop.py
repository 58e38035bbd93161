"""A training from moment to moment: calls of the compiled program, records, and divergence."""

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ceflow.history import History
from ceflow.training.feeding import Feed
from ceflow.training.steps import STEPS_AT_ONCE, Kept, Replicas, advance, compiled, copied

GROWTH = 1000.0
"""Factor by which the loss of a batch may exceed the mean loss at the start; beyond, the training
has diverged. Below it, losses that rise at first may fall again (Lewkowycz et al., 2020)."""

CALL_SECONDS = 2.0
"""Seconds that one call of the program should take, so that progress is told and kept. Each call
claims its memory anew, which takes up to a fifth of a second for large networks."""

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Divergence:
    """A loss that grew without bound, or stopped being finite."""

    step: int
    loss: float
    replica: int


class Diverging(ArithmeticError):
    """Raised by a record of a training that has diverged."""

    def __init__(self, divergence: Divergence):
        super().__init__(f"the loss of replica {divergence.replica} is {divergence.loss:.3g}")
        self.divergence = divergence


class Reached(NamedTuple):
    """A training after some steps: everything that is needed to go on."""

    step: int
    replicas: Replicas
    kept: Kept
    """Parameters and states at the last record."""
    lines: tuple[Line, ...] = ()
    """Records so far."""


@dataclass(frozen=True)
class Descended:
    """A training at its end."""

    history: History
    """Records, by the number of steps before each."""
    kept: Kept
    """Parameters and states at the last record."""
    divergence: Divergence | None = None


def run(
    feed: Feed,
    reached: Reached,
    steps: int,
    *,
    moments: Collection[int],
    record: Callable[[int, Replicas], Line],
    reference: Callable[[], Float[np.ndarray, " replicas"]],
    begin: Callable[[Float[np.ndarray, " replicas"]], None] = lambda losses: None,
    until: Callable[[Line], bool] = lambda line: False,
    observe: Callable[[int], None] = lambda step: None,
    save: Callable[[Reached], None] = lambda reached: None,
) -> Descended:
    """Go on to `steps` steps in all, and record at the moments and at the end; from the start, at
    the start too. The replicas of `reached` are lost: steps use their memory.

    `reference` tells the mean loss of each replica at the start, once that is recorded and `begin`
    was told those of the first batches, in which batch normalisation may be different. Training
    ends early if `until(line)` is True, or if a replica diverges; then the records and what is kept
    are those of the last moment before. `observe` and `save` are called between calls of the
    program.
    """
    now, replicas, kept, lines = reached
    done, pace, kept = [*lines], _Pace(), copied(kept)
    if not done:
        done.append({"step": now, **record(now, replicas)})
    for end in sorted(moment for moment in {*moments, steps} if moment > now):
        if until(done[-1]):
            break
        while now < end:
            trainer, place, there = feed.at(now)
            if not pace.count:
                replicas = compiled(trainer, replicas, place)
                pace.count = 1
            count = min(pace.count, end - now, there)
            with pace.of(len(trainer.groups)):
                replicas, losses = advance(trainer, replicas, place, count)
                losses = np.asarray(losses)
            if not now:
                begin(losses[0])
            trouble = grown(losses, reference(), now)
            if trouble is not None:
                return Descended(History.of_lines(done), kept, trouble)
            now += count
            observe(now)
            if now < end:
                save(Reached(now, replicas, kept, tuple(done)))
        try:
            done.append({"step": end, **record(end, replicas)})
        except Diverging as found:
            return Descended(History.of_lines(done), kept, found.divergence)
        kept = copied(replicas.kept)
        save(Reached(end, replicas, kept, tuple(done)))
    return Descended(History.of_lines(done), kept)


class _Pace:
    """Number of steps per call, so that the call of a group of replicas takes `CALL_SECONDS`, or up
    to twice that.
    """

    def __init__(self):
        self.count = 0  # until the program is compiled

    @contextmanager
    def of(self, groups: int) -> Iterator[None]:
        """Time the calls of some groups in the block."""
        start = time.perf_counter()
        yield
        took = (time.perf_counter() - start) / groups
        if took < CALL_SECONDS:
            faster = 4 if took < CALL_SECONDS / 4 else 2
            self.count = min(faster * self.count, STEPS_AT_ONCE)
        elif took > 2 * CALL_SECONDS:
            self.count = max(1, self.count // 2)


def grown(
    losses: Float[np.ndarray, "steps replicas"],
    reference: Float[np.ndarray, " replicas"],
    first: int,
) -> Divergence | None:
    """Find the first mean loss that is too large; `losses` has a row for each step from `first` on,
    and `reference` the losses at the start.

    >>> grown(np.array([[1.0, 2.0], [9.0, 4000.0]]), np.array([2.0, 2.0]), 5)
    Divergence(step=6, loss=4000.0, replica=1)
    """
    limit = GROWTH * np.maximum(reference, float(np.finfo(np.float32).tiny))
    wrong = ~(losses <= limit)
    if not wrong.any():
        return None
    step = int(np.argmax(wrong.any(axis=1)))
    replica = int(np.argmax(wrong[step]))
    return Divergence(first + step, float(losses[step, replica]), replica)

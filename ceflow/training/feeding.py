"""The examples of the next steps: all that there are, or a few at a time, read ahead."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Self

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ceflow.training.steps import STEPS_AT_ONCE, Place, Trainer, order_of

Rows = tuple[Float[np.ndarray, "k ..."], Float[np.ndarray, "k outputs"]]
"""Inputs and targets of some examples."""


class Ahead(NamedTuple):
    """A trainer with the examples of some steps, the place of the first, and their number."""

    trainer: Trainer
    place: Place
    steps: int


class Feed(ABC):
    """A feed gives a trainer the examples of its next steps."""

    @abstractmethod
    def at(self, step: int) -> Ahead:
        """Return what the step that follows `step` earlier ones needs, and as many after it as
        there are examples for.
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        """Stop reading."""
        return


class Held(Feed):
    """The feed of a trainer that holds all examples."""

    def __init__(self, trainer: Trainer):
        self.trainer = trainer

    def at(self, step: int) -> Ahead:
        place = Place.at(step, self.trainer.batch, len(self.trainer.x))
        return Ahead(self.trainer, place, STEPS_AT_ONCE)


class Streamed(Feed):
    """A feed that reads examples as they are needed, while steps on earlier ones are taken.

    Each replica gets its examples in the order of `order_of`, epoch after epoch, as if all were
    held. Two chunks of steps are in memory, and the orders of the epochs that they touch. A chunk
    begins at a multiple of its length, so that the program does not depend on where a training was
    interrupted.
    """

    def __init__(
        self,
        trainer: Trainer,
        read: Callable[[Int[np.ndarray, " k"]], Rows],
        *,
        examples: int,
        steps: int,
        at_once: int,
    ):
        """Feed a trainer that is `fed` with the examples that `read` returns, `examples` in all,
        for `steps` steps, those of `at_once` steps at a time.
        """
        self.trainer, self.steps = trainer, steps
        self._read, self._examples = read, examples
        self._replicas = len(trainer.keys)
        self.length = min(at_once, STEPS_AT_ONCE, steps)
        self._orders: dict[int, Int[np.ndarray, "replicas n"]] = {}
        self._thread = ThreadPoolExecutor(1, "ceflow-feed")
        self._reading: dict[int, Future[Rows]] = {}
        self._now: tuple[int, Trainer] | None = None

    def at(self, step: int) -> Ahead:
        chunk, offset = divmod(step, self.length)
        if self._now is None or self._now[0] != chunk:
            self._now = None  # its examples make room
            self._begin(chunk)
            x, y = map(jnp.asarray, self._reading.pop(chunk).result())
            self._begin(chunk + 1)
            fed = eqx.tree_at(lambda trainer: (trainer.x, trainer.y), self.trainer, (x, y))
            self._now = chunk, fed
        place = Place(
            jnp.asarray(step % 2**32, jnp.uint32),
            jnp.asarray(0, jnp.int32),
            jnp.asarray(offset * self.trainer.batch, jnp.int32),
        )
        return Ahead(self._now[1], place, self.length - offset)

    def __exit__(self, *error: Any) -> None:
        self._thread.shutdown(cancel_futures=True)

    def _begin(self, chunk: int) -> None:
        """Begin to read the examples of a chunk, if there is such a one."""
        first = chunk * self.length
        if first < self.steps and chunk not in self._reading:
            last = min(first + self.length, self.steps)
            rows = self._rows(first, last)  # by JAX, whose settings belong to this thread
            self._reading[chunk] = self._thread.submit(self._chunk, rows)

    def _rows(self, first: int, last: int) -> Int[np.ndarray, "steps k"]:
        """Return the numbers of the examples of some steps: of all replicas, one after another."""
        batch = self.trainer.batch
        epochs, offsets = np.divmod(np.arange(first * batch, last * batch), self._examples)
        found = np.empty((self._replicas, len(offsets)), np.int64)
        wanted = np.unique(epochs)
        for epoch in wanted:
            here = epochs == epoch
            found[:, here] = self._order(int(epoch))[:, offsets[here]]
        for epoch in [each for each in self._orders if each < wanted[-1]]:
            del self._orders[epoch]
        return found.reshape(self._replicas, -1, batch).swapaxes(0, 1).reshape(last - first, -1)

    def _order(self, epoch: int) -> Int[np.ndarray, "replicas n"]:
        if epoch not in self._orders:
            at = jnp.asarray(epoch, jnp.int32)
            self._orders[epoch] = np.stack(
                [np.asarray(_ordered(key, at, self._examples)) for key in self.trainer.keys]
            )
        return self._orders[epoch]

    def _chunk(self, rows: Int[np.ndarray, "steps k"]) -> Rows:
        """Read the examples of some steps, and leave room for those of a whole chunk."""
        arrays: list[np.ndarray] = []
        for step, wanted in enumerate(rows):
            for part, found in enumerate(self._read(wanted)):
                if len(arrays) == part:
                    shape = (self.length, *found.shape)
                    arrays.append(np.zeros(shape, self.trainer.x.dtype))
                arrays[part][step] = found
        x, y = (each.reshape(-1, *each.shape[2:]) for each in arrays)
        return x, y


_ordered = jax.jit(order_of, static_argnums=2)

"""The examples of a training: held in memory, or read from their files as they are needed.

Loads JAX: imported only when a stage runs.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from ceflow import data, training
from ceflow._machine import trim
from ceflow.data import Dataset, Stream, Streams
from ceflow.stages.stage import Job, require_room
from ceflow.stages.train import demand
from ceflow.training import Feed, Trainer

TRIMMED_BYTES = 2**26
"""Bytes of examples that are read before memory is returned to the system; without that, blocks of
16 MB were seen to take 900 MB."""

DIGESTED = 64
"""Number of streamed examples of each part that are compared when a training goes on."""

Part = Literal["train", "test"]


class Block(NamedTuple):
    """Some examples to evaluate together, and which of them belong to which part."""

    x: Float[Array, "n ..."] | Float[np.ndarray, "n ..."]
    parts: dict[Part, tuple[slice, Float[np.ndarray, "k outputs"]]]
    """Rows of the part, and their targets."""


class Examples(ABC):
    """The training and test examples of a job."""

    @property
    @abstractmethod
    def train(self) -> int:
        """Number of training examples."""

    @property
    @abstractmethod
    def source(self) -> Dataset | Stream:
        """Where the training examples are."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Hash of the examples, by which a training that goes on knows them."""

    @abstractmethod
    def some(self, rows: Int[np.ndarray, " k"]) -> data.Examples:
        """Return the training examples with these indices."""

    @abstractmethod
    def blocks(self, size: int) -> Generator[Block, None, None]:
        """Yield all examples, those for training first, to evaluate `size` of them at a time."""

    @abstractmethod
    def start(self) -> tuple[Array, Array]:
        """Return the inputs and targets that a trainer has before it is fed."""

    @abstractmethod
    def feed(self, trainer: Trainer, steps: int) -> Feed:
        """Return the feed of a trainer."""


def _hashed(*arrays: np.ndarray) -> str:
    """Hash the numbers and shapes of arrays."""
    found = hashlib.blake2b(digest_size=16)
    for array in arrays:
        found.update(repr(array.shape).encode())
        found.update(np.ascontiguousarray(array).data)
    return found.hexdigest()


def examples_of(job: Job) -> Examples:
    """Load the examples of a job, or open their files if they are streamed."""
    if demand.is_streamed(job.stage, job.plan, job.model):
        return StreamedExamples(job, job.streams())
    return HeldExamples(job.dataset())


@dataclass(frozen=True)
class HeldExamples(Examples):
    """Examples in memory."""

    dataset: Dataset

    @property
    def source(self) -> Dataset:
        return self.dataset

    @property
    def train(self) -> int:
        return len(self.dataset.train.x)

    @property
    def digest(self) -> str:
        train, test = self.dataset.train, self.dataset.test
        return _hashed(train.x, train.y, test.x, test.y)

    def some(self, rows: Int[np.ndarray, " k"]) -> data.Examples:
        return data.Examples(self.dataset.train.x[rows], self.dataset.train.y[rows])

    @cached_property
    def _x(self) -> Float[Array, "n ..."]:
        """All inputs, those of the test last."""
        both = np.concatenate([self.dataset.train.x, self.dataset.test.x])
        return jnp.asarray(both, jnp.zeros(()).dtype)

    def blocks(self, size: int) -> Generator[Block, None, None]:
        """Yield one block: it is evaluated in pieces, which may have examples of both parts."""
        parts: dict[Part, tuple[slice, np.ndarray]]
        parts = {"train": (slice(self.train), self.dataset.train.y)}
        if len(self.dataset.test.x):
            parts["test"] = slice(self.train, None), self.dataset.test.y
        yield Block(self._x, parts)

    def start(self) -> tuple[Array, Array]:
        return self._x[: self.train], jnp.asarray(self.dataset.train.y, self._x.dtype)

    def feed(self, trainer: Trainer, steps: int) -> Feed:
        return training.Held(trainer)


class StreamedExamples(Examples):
    """Examples in files."""

    def __init__(self, job: Job, streams: Streams):
        self.job, self.streams = job, streams
        self._read = 0

    @property
    def source(self) -> Stream:
        return self.streams[0]

    @property
    def train(self) -> int:
        return len(self.streams[0])

    @property
    def digest(self) -> str:
        """Hash of the numbers of examples, and of up to 64 of each part, at equal distances."""
        parts = []
        for stream in self.streams[:2]:
            count = len(stream)
            rows = np.unique(np.linspace(0, count - 1, min(count, DIGESTED)).astype(int))
            found = stream.read(rows) if count else None
            parts += [np.array(count)] + ([found.x, found.y] if found else [])
        return _hashed(*parts)

    def some(self, rows: Int[np.ndarray, " k"]) -> data.Examples:
        return self._shaped(self.streams[0].read(rows))

    def _shaped(self, found: data.Examples) -> data.Examples:
        """Give examples the shape that the network takes. Raises `ValueError` for numbers that the
        document's precision cannot hold.
        """
        self._read += found.x.nbytes
        if self._read > TRIMMED_BYTES:
            self._read = 0
            trim()
        require_room(self.job.plan.document.precision, inputs=found.x, targets=found.y)
        return data.Examples(self.job.plan.examples(found.x), found.y)

    def blocks(self, size: int) -> Generator[Block, None, None]:
        """Yield blocks of `size` examples; where there are fewer, the last one is repeated."""
        names: tuple[Part, Part] = "train", "test"
        for name, stream in zip(names, self.streams[:2], strict=True):
            for block in stream.blocks(np.arange(len(stream)), size):
                found = self._shaped(block)
                count = len(found.x)
                fill = [(0, size - count), *[(0, 0)] * (found.x.ndim - 1)]
                x = np.pad(found.x, fill, mode="edge") if count < size else found.x
                yield Block(x, {name: (slice(count), found.y)})

    def start(self) -> tuple[Array, Array]:
        plan, dtype = self.job.plan, jnp.zeros(()).dtype
        x = plan.examples(np.zeros((0, plan.inputs)))
        return jnp.asarray(x, dtype), jnp.zeros((0, plan.outputs), dtype)

    def feed(self, trainer: Trainer, steps: int) -> Feed:
        def read(rows: Int[np.ndarray, " k"]) -> tuple[np.ndarray, np.ndarray]:
            found = self.some(rows)
            return found.x, found.y

        at_once = demand.steps_at_once(self.job.stage, self.job.plan)
        return training.Streamed(trainer, read, examples=self.train, steps=steps, at_once=at_once)

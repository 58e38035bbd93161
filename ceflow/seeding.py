"""One seed a document; every stage, member and chunk folds its own name or index into it."""

from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    import jax
    import numpy as np


@dataclass(frozen=True)
class Seed:
    """A node in the tree of random streams that grows from a document's seed.

    Streams of different paths are independent, so adding a stage never changes another's numbers.

    >>> seed = Seed(0).fold("alpha").fold(3)
    >>> bool(seed.numpy().integers(100) == seed.numpy().integers(100))
    True
    """

    root: int
    path: tuple[int, ...] = ()

    def fold(self, step: str | int) -> "Seed":
        """The stream for one name or index below this one."""
        return Seed(
            self.root, (*self.path, crc32(step.encode()) if isinstance(step, str) else step)
        )

    def numpy(self) -> "np.random.Generator":
        """A NumPy generator for this stream."""
        import numpy as np

        return np.random.default_rng(np.random.SeedSequence(self.root, spawn_key=self.path))

    def jax(self) -> "jax.Array":
        """A JAX key for this stream."""
        import jax

        key = jax.random.fold_in(jax.random.key(self.root & 0xFFFFFFFF), self.root >> 32)
        for step in self.path:
            key = jax.random.fold_in(key, step)
        return key

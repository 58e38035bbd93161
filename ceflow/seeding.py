"""Random streams: each document has one seed; every stage, member and chunk folds its name or index
into it.
"""

import operator
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from zlib import crc32

if TYPE_CHECKING:
    import jax
    import numpy as np


LARGEST_SEED = 2**63 - 1
"""The largest seed, as in a document."""

GENERATOR = "threefry2x32"
"""JAX's generator for all keys, whatever the environment's default."""


@contextmanager
def partitionable() -> Iterator[None]:
    """Use JAX's partitionable layout of random numbers in the block, since the other layout gives
    other numbers.

    It can also decorate functions that draw from a seed.
    """
    import jax

    with jax.threefry_partitionable(True):
        yield


@contextmanager
def full_products() -> Iterator[None]:
    """Compute products in the full precision of their type in the block: GPUs default to less.

    It can also decorate functions, whether they compute or are traced.
    """
    import jax

    with jax.default_matmul_precision("highest"):
        yield


@contextmanager
def pinned() -> Iterator[None]:
    """Set the JAX settings that affect numbers to ceflow's choices, within the block.

    They are the layout of random numbers, products in the full precision of their type, NumPy's
    promotion of dtypes and of axes, and NaN without exceptions. Settings from the environment have
    no effect inside.
    """
    import jax

    with ExitStack() as stack:
        stack.enter_context(partitionable())
        stack.enter_context(full_products())
        stack.enter_context(jax.numpy_dtype_promotion("standard"))
        stack.enter_context(jax.numpy_rank_promotion("allow"))
        stack.enter_context(jax.debug_nans(False))
        stack.enter_context(jax.debug_infs(False))
        yield


@dataclass(frozen=True)
class Seed:
    """A node in the tree of random streams that grows from a document's seed.

    Streams with different paths are independent, so adding a stage never changes another's numbers.

    >>> seed = Seed(0).fold("alpha").fold(3)
    >>> bool(seed.numpy().integers(100) == seed.numpy().integers(100))
    True

    Raises `ValueError` for a root that is no whole number from 0 to 2^63 - 1.
    """

    root: int
    path: tuple[int, ...] = ()

    def __post_init__(self):
        try:
            root = operator.index(self.root)
        except (TypeError, ValueError):
            root = -1
        if not 0 <= root <= LARGEST_SEED or isinstance(self.root, bool):
            raise ValueError(
                f"a seed is a whole number from 0 to 2^63 - 1, and no key of JAX, not {self.root!r}"
            )
        object.__setattr__(self, "root", root)

    def fold(self, step: str | int) -> "Seed":
        """Return the stream of a name or index below this one."""
        return Seed(
            self.root, (*self.path, crc32(step.encode()) if isinstance(step, str) else step)
        )

    def numpy(self) -> "np.random.Generator":
        """Return a NumPy generator for this stream."""
        import numpy as np

        return np.random.default_rng(np.random.SeedSequence(self.root, spawn_key=self.path))

    def jax(self) -> "jax.Array":
        """Return a JAX key for this stream, of the generator `GENERATOR`."""
        import jax
        import jax.numpy as jnp

        # As `jax.random.key` makes it, but for an offset that the environment can add.
        words = jnp.array([0, self.root & 0xFFFFFFFF], jnp.uint32)
        key = jax.random.wrap_key_data(words, impl=GENERATOR)
        key = jax.random.fold_in(key, self.root >> 32)
        for step in self.path:
            key = jax.random.fold_in(key, step)
        return key

"""Writing kernels to disk, tile by tile."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

from jaxtyping import ArrayLike, Float

from ceflow.kernels.tiles.computing import Kernel, blocks, checked_examples
from ceflow.kernels.tiles.kernel import TiledKernel
from ceflow.store import WriteError
from ceflow.store.digests import fingerprint
from ceflow.store.tiles import Index, TileStore, checked_tile, triangle


def write_tiles(
    path: str | Path,
    kernel: Kernel,
    x: Float[ArrayLike, "n ..."],
    *,
    tile: int = 2048,
    identity: str = "",
    order: Iterable[Index] | None = None,
    observe: Callable[[int, int], object] | None = None,
) -> TiledKernel:
    """Write the N x N kernel of the examples `x`, tile by tile, to a Zarr store at `path`.

    `kernel(x1, x2)` returns the kernel between two batches of `tile` examples, and must be
    symmetric. The last batch is padded with its last example, so that there is one shape, compiled
    once. Only tiles on and above the diagonal are computed, and only those missing from `path`: the
    same call resumes an interrupted one. `order` lists the tiles to compute as pairs of row and
    column, by default all, row by row; it does not change the numbers. With several devices, each
    computes one tile at a time (`kernel` is compiled for each, and gets JAX arrays).

    `identity` names what the kernel depends on besides `x`: a store with another identity or other
    examples is refused. `observe(done, total)` is called after each tile. Memory holds a few tiles
    and whatever `kernel` needs.

    `kernel` gets integers and bools as 64-bit integers, and 16-bit floats as 32-bit floats, so that
    products do not overflow. Tiles are stored as floats of at least 32 bits.

    Raises `ValueError` for a tile below 1, examples that are not finite, a kernel of the wrong
    shape or not finite, or a `path` that holds something else; `OSError` if the disk is full (tiles
    that are done are kept).

    >>> import tempfile
    >>> import numpy as np
    >>> x = np.arange(6.0).reshape(3, 2)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     K = write_tiles(f"{folder}/k", lambda a, b: a @ b.T, x, tile=2)
    ...     print(K[0:3, 1:3])
    [[ 3.  5.]
     [13. 23.]
     [23. 41.]]
    """
    path, x = Path(path), checked_examples(x)
    tile = min(checked_tile(tile), len(x))
    identity = f"{identity} {fingerprint(x)}".strip()
    store = TileStore.resume(path, len(x), tile, identity)
    every = triangle(len(x), tile)
    wanted = every if order is None else _ordered(order, every)
    todo = [index for index in wanted if store is None or not store.has(index)]
    tiles = blocks(kernel, x, tile, todo)
    first = next(tiles, None)
    if first is not None:  # the store gets its type
        with _what_is_kept(path):
            store = store or TileStore.create(path, len(x), tile, first[1].dtype, identity)
            done = len(every) - len(store.missing)
            for written, _ in enumerate(_overlapped(chain([first], tiles), store.write), 1):
                if observe is not None:
                    observe(done + written, len(every))
    return TiledKernel(TileStore(path))


def _ordered(order: Iterable[Index], every: list[Index]) -> list[Index]:
    wanted = list(dict.fromkeys((int(row), int(column)) for row, column in order))
    for index in set(wanted) - set(every):
        raise ValueError(f"there is no tile {index}: tiles go from (0, 0) to {every[-1]}, i <= j")
    return wanted


def _overlapped(items: Iterable[tuple[Any, ...]], write: Callable[..., object]) -> Iterator[None]:
    """Write each item while the next one is computed; yield once per item written."""
    with ThreadPoolExecutor(1) as thread:
        pending = None
        for item in items:
            if pending is not None:
                pending.result()
                yield
            pending = thread.submit(write, *item)
        if pending is not None:
            pending.result()
            yield


@contextmanager
def _what_is_kept(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise WriteError(
            error.errno or 0,
            f"{path} could not be written: {error.strerror or error}; the tiles that are done are"
            " kept, and the same run again adds only those that are missing",
        ) from error

"""A kernel computed tile by tile."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Float

from ceflow import nets
from ceflow.store.tiles import Index, checked_tile, triangle

Kernel = Callable[[Any, Any], Array | np.ndarray]
"""A function of two batches of examples, (t1, ...) and (t2, ...), that returns their kernel,
(t1, t2)."""


def assemble(
    kernel: Kernel, x: Float[ArrayLike, "n ..."], *, tile: int = 2048
) -> Float[np.ndarray, "n n"]:
    """Compute a kernel in memory, tile by tile; bit for bit the numbers of `write_tiles`.

    >>> x = np.arange(6.0).reshape(3, 2)
    >>> bool((assemble(lambda a, b: a @ b.T, x, tile=2) == x @ x.T).all())
    True
    """
    x = checked_examples(x)
    tile = min(checked_tile(tile), len(x))
    matrix: Any = None
    for (row, column), block in blocks(kernel, x, tile, triangle(len(x), tile)):
        matrix = np.empty((len(x), len(x)), block.dtype) if matrix is None else matrix
        above, beside = (slice(start * tile, (start + 1) * tile) for start in (row, column))
        matrix[above, beside] = block
        matrix[beside, above] = block.T
    return matrix


def blocks(
    kernel: Kernel, x: np.ndarray, tile: int, todo: Sequence[Index]
) -> Iterator[tuple[Index, np.ndarray]]:
    """Compute the tiles `todo` in order, one on each device at a time.

    All devices are started before the first result is awaited. Each tile is a direct call of
    `kernel`: as part of a larger program it might be compiled differently, and differ in the last
    bit.
    """
    devices = jax.local_devices()
    for start in range(0, len(todo), len(devices)):
        batch = todo[start : start + len(devices)]
        tiles = []
        for device, index in zip(devices, batch, strict=False):
            row, column = index
            one = _placed(_rows(x, row, tile), device)
            # pass the same object on the diagonal, so that a kernel can use the symmetry
            two = one if row == column else _placed(_rows(x, column, tile), device)
            tiles.append(kernel(one, two))
        for index, block in zip(batch, tiles, strict=True):
            yield index, _trimmed(_floats(np.asarray(block)), index, tile, len(x))


def _placed(rows: np.ndarray, device: Any) -> Array | np.ndarray:
    """Move rows to a device, if there are several devices."""
    return jax.device_put(rows, device) if jax.local_device_count() > 1 else rows


def _rows(x: np.ndarray, number: int, tile: int) -> np.ndarray:
    """Take the examples of one tile; past the end, repeat the last example."""
    return x[np.minimum(np.arange(number * tile, (number + 1) * tile), len(x) - 1)]


def _trimmed(block: np.ndarray, index: Index, tile: int, size: int) -> np.ndarray:
    """Check a tile, drop repeated examples, and make diagonal tiles exactly symmetric."""
    if block.shape != (tile, tile):
        raise ValueError(
            f"a kernel of {tile} and {tile} examples must be an array of shape {(tile, tile)},"
            f" not {block.shape}"
        )
    rows, columns = (min(tile, size - number * tile) for number in index)
    block = block[:rows, :columns]
    if not np.isfinite(block).all():
        raise ValueError(
            f"tile {index} of the kernel holds NaN or infinity: scale the inputs or weights down,"
            " or compute in float64"
        )
    if index[0] == index[1]:
        block = np.where(np.tri(rows, dtype=bool), block.T, block)
    return np.ascontiguousarray(block)


def _floats(array: np.ndarray) -> np.ndarray:
    """Convert to floats of at least 32 bits."""
    return array.astype(np.promote_types(array.dtype, np.float32), copy=False)


def checked_examples(x: Any) -> np.ndarray:
    """Check that examples are finite, and convert them to a type whose products do not overflow.

    Floats have at least 32 bits. Integers become 64-bit integers, not floats, as a kernel may use
    them as indices.
    """
    x = np.asarray(nets.numbers(x))
    whole = x.dtype.kind in "biu" and x.dtype != np.uint64
    x = x.astype(int, copy=False) if whole else _floats(x)
    if not x.ndim or not len(x):
        raise ValueError(f"x must hold examples as rows, not be of shape {x.shape}")
    finite = np.isfinite(x).reshape(len(x), -1).all(axis=1)
    if not finite.all():
        raise ValueError(f"x must be finite, and example {int(np.argmin(finite))} is not")
    return x

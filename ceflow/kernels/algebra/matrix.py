"""The interface that linear algebra needs from a kernel, on disk or in memory."""

import math
from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
from jax.numpy import finfo
from jaxtyping import Float

from ceflow import nets


class Matrix(Protocol):
    """The interface of a kernel, on disk (`TiledKernel`) or in memory (a NumPy array)."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> Any: ...
    def __len__(self) -> int: ...
    def __getitem__(self, key: Any, /) -> Any: ...
    def __matmul__(self, other: Any, /) -> Any: ...
    def diagonal(self) -> Any: ...


def as_matrix(kernel: Any) -> Any:
    """Convert a kernel in memory to a float array; return a kernel on disk unchanged."""
    if hasattr(kernel, "path") or (
        hasattr(kernel, "__matmul__") and not hasattr(kernel, "__array__")
    ):
        return kernel
    array = np.asarray(nets.numbers(kernel))
    return array.astype(float) if array.dtype.kind in "biu" else array


def as_kernel(kernel: Any) -> Any:
    """Convert a kernel as `as_matrix` does, and check that it is symmetric.

    Raises `ValueError` unless a kernel in memory is square with at least one row, finite, and
    symmetric to rounding. A kernel on disk is symmetric by the way it is stored.
    """
    kernel = as_matrix(kernel)
    if not isinstance(kernel, np.ndarray):
        return kernel
    shape = kernel.shape
    if len(shape) != 2 or shape[0] != shape[1] or not shape[0]:
        raise ValueError(f"a kernel is a square matrix of 1 row or more, not of shape {shape}")
    largest = max(float(np.abs(finite(block)).max()) for _, block in row_blocks(kernel))
    for rows, block in row_blocks(kernel):
        apart = np.abs(block.astype(float) - kernel[:, rows].T)
        if (apart > math.sqrt(epsilon(kernel)) * largest).any():
            i, j = (int(k) for k in np.unravel_index(apart.argmax(), apart.shape))
            i += rows.start
            raise ValueError(
                f"a kernel is symmetric, but the entries ({i}, {j}) and ({j}, {i}) of this matrix"
                f" are {kernel[i, j]:.4g} and {kernel[j, i]:.4g}: is it the kernel of one batch of"
                " examples?"
            )
    return kernel


def values_of(array: Any) -> Float[np.ndarray, "..."]:
    """Convert real numbers to float64."""
    return np.asarray(nets.numbers(array), float)


def rows_of(array: Any, what: str) -> Float[np.ndarray, "n ..."]:
    """Convert an array with one row per example to float64; raise `ValueError` if not finite."""
    values = values_of(array)
    if not values.ndim:
        raise ValueError(f"{what} must be an array with a row for each example, not one number")
    if not np.isfinite(values).all():
        raise ValueError(f"{what} hold NaN or infinity; leave those examples out")
    return values


def targets_of(kernel: Matrix, targets: Any) -> Float[np.ndarray, "n ..."]:
    """Convert the targets of a kernel's examples to float64; raise `ValueError` if they are not
    finite, or not as many as the kernel has rows.
    """
    values = rows_of(targets, "targets")
    if len(values) != len(kernel):
        raise ValueError(f"{len(values)} targets do not go with a kernel of {len(kernel)} rows")
    return values


def epsilon(kernel: Matrix) -> float:
    """Return the machine epsilon of a kernel's type."""
    return float(finfo(kernel.dtype).eps)


def fits(size: int, memory: int) -> bool:
    """Return whether three square float64 matrices of `size` rows fit into `memory` bytes."""
    return 3 * 8 * size**2 <= memory


def numbers(kernel: Matrix, *key: slice) -> Float[np.ndarray, "rows columns"]:
    """Copy a block of a kernel, or all of it, to a float64 array; raise if it is not finite."""
    return finite(np.array(kernel[key or (slice(None), slice(None))], float))


def finite(values: np.ndarray) -> np.ndarray:
    """Return the array; raise `ValueError` if it holds NaN or infinity."""
    if not np.isfinite(values).all():
        raise ValueError("the kernel holds NaN or infinity: are its inputs too large?")
    return values


def norm(values: Float[np.ndarray, "..."]) -> float:
    """Compute the root of the sum of squares, in float64, without over- or underflow.

    The result is 0 only if all numbers are 0.

    >>> norm(np.array([3e-200, 4e-200]))
    5e-200
    """
    values = values_of(values)
    with np.errstate(over="ignore"):
        size = float(np.linalg.norm(values))
    if 1e-140 < size < math.inf:  # otherwise squares over- or underflow
        return size
    largest = float(np.abs(values).max(initial=0))
    if not 0 < largest < math.inf:
        return largest
    exponent = math.frexp(largest)[1]
    return math.ldexp(float(np.linalg.norm(np.ldexp(values, -exponent))), exponent)


def row_blocks(kernel: Matrix) -> Iterator[tuple[slice, np.ndarray]]:
    """Iterate over a kernel by blocks of rows; yield the slice and the numbers of each."""
    kernel = as_matrix(kernel)
    rows = getattr(kernel, "tile", 512)
    for start in range(0, len(kernel), rows):
        block = slice(start, min(start + rows, len(kernel)))
        yield block, kernel[block, :]


def relative_distance(kernel: Matrix, reference: Matrix) -> float:
    """Compute `|K - R|/|R|` in Frobenius norm, of kernels in memory or on disk.

    Computes in float64 for any type. Raises `ValueError` if R is 0, the shapes differ, or a kernel
    is not finite.

    >>> import numpy as np
    >>> relative_distance(2 * np.eye(3), np.eye(3))
    1.0
    """
    kernel, reference = as_matrix(kernel), as_matrix(reference)
    if len(kernel.shape) != 2:
        raise ValueError(f"a kernel must be a matrix, not of shape {tuple(kernel.shape)}")
    if kernel.shape != reference.shape:
        raise ValueError(
            f"kernels of shapes {kernel.shape} and {reference.shape} cannot be compared"
        )
    difference, size = 0.0, 0.0
    for rows, _ in row_blocks(reference):
        ours, theirs = (numbers(each, rows, slice(None)) for each in (kernel, reference))
        difference = math.hypot(difference, norm(ours - theirs))
        size = math.hypot(size, norm(theirs))
    if size == 0:
        raise ValueError("the reference kernel is 0: are all inputs 0?")
    return difference / size

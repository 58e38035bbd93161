"""The Cholesky factorisation of a kernel, in memory or, if it does not fit, on disk."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import disk_usage
from tempfile import TemporaryDirectory
from typing import Protocol

import numpy as np
import scipy.linalg
from jaxtyping import Float

from ceflow._machine import LAPACK_ROWS, MEMORY
from ceflow.kernels.algebra.matrix import Matrix, as_kernel, as_matrix, epsilon, fits, numbers
from ceflow.store.tiles import TileStore, triangle


class SingularError(ValueError):
    """A kernel is singular to rounding, and so has no Cholesky factor."""


class Factor(Protocol):
    """The upper triangular matrix U with `K + ridge 1 = U^T U`."""

    def solve(self, right: Float[np.ndarray, "n ..."]) -> Float[np.ndarray, "n ..."]:
        """Compute `(K + ridge 1)^{-1} right`."""
        ...


@contextmanager
def factored(
    kernel: Matrix, ridge: float = 0.0, *, memory: int = MEMORY, scratch: Path | None = None
) -> Iterator[Factor]:
    """Factorise `K + ridge 1` in float64; the factor exists within the `with` block.

    If three such matrices fit into `memory` (bytes), LAPACK computes the factor of up to 8,192
    rows. Otherwise it is stored in tiles in a temporary folder inside `scratch` (by default next to
    a kernel on disk), where it takes 4 N^2 bytes.

    Raises `SingularError` if a pivot is not above the rounding of the kernel's entries,
    `ValueError` if the kernel is not finite, and `OSError` if the disk has too little space.
    """
    kernel = as_matrix(kernel)
    if len(kernel) <= LAPACK_ROWS and fits(len(kernel), memory):
        yield _Dense(kernel, ridge)
        return
    beside = getattr(kernel, "path", None)
    folder = scratch or (beside.parent if beside is not None else None)
    tile = max(64, min(2048, memory // (16 * len(kernel))))
    with TemporaryDirectory(prefix=".cholesky-", dir=folder) as name:
        _check_space(Path(name), 8 * tile**2 * len(triangle(len(kernel), tile)))
        store = TileStore.create(Path(name, "factor"), len(kernel), tile, np.dtype(float))
        yield _Tiled(kernel, ridge, store)


def _check_space(folder: Path, needed: int) -> None:
    free = disk_usage(folder).free
    if free < needed:
        raise OSError(
            f"a Cholesky factor takes {needed / 1e9:.1f} GB of disk, and {folder.parent} has"
            f" {free / 1e9:.1f} GB; make room there, or give another folder as scratch"
        )


def rounding_ridge(kernel: Matrix) -> float:
    """Compute a ridge that lifts every eigenvalue of a kernel above rounding: `10 eps tr K`.

    Entries have errors of a few `eps sqrt(K_ii K_jj)`; these shift eigenvalues by at most a few
    `eps tr K`.
    """
    kernel = as_kernel(kernel)
    return 10 * epsilon(kernel) * float(kernel.diagonal().sum(dtype=float))


class _Dense:
    def __init__(self, kernel: Matrix, ridge: float):
        matrix = numbers(kernel)
        matrix[np.diag_indices_from(matrix)] += ridge
        self._factor = _cholesky(matrix, matrix.diagonal(), epsilon(kernel))

    def solve(self, right: np.ndarray) -> np.ndarray:
        return scipy.linalg.cho_solve((self._factor, False), right)


class _Tiled:
    """Factor in tiles on disk, computed by a left-looking Cholesky factorisation.

    Each row of tiles is computed from the rows above it. In total N^3/(6 tile) numbers are read,
    and one row of tiles is in memory.
    """

    def __init__(self, kernel: Matrix, ridge: float, store: TileStore):
        self._store, self._starts = store, range(0, len(kernel), store.tile)
        for row in range(len(self._starts)):
            self._add_row(kernel, ridge, row)

    def _add_row(self, kernel: Matrix, ridge: float, row: int) -> None:
        columns = range(row, len(self._starts))
        panel = [numbers(kernel, self._span(row), self._span(column)) for column in columns]
        panel[0][np.diag_indices_from(panel[0])] += ridge
        diagonal = panel[0].diagonal().copy()
        for above in range(row):
            left = self._store.read((above, row))
            for column in columns:
                panel[column - row] -= left.T @ self._store.read((above, column))
        factor = _cholesky(panel[0], diagonal, epsilon(kernel))
        self._store.write((row, row), factor)
        for column in columns[1:]:
            self._store.write((row, column), _solve(factor, panel[column - row], transposed=True))

    def solve(self, right: np.ndarray) -> np.ndarray:
        """Solve by forward substitution with `U^T`, then back substitution with U.

        Each tile is read twice.
        """
        answer = np.array(right, float)
        count = len(self._starts)
        for row in range(count):
            here = self._span(row)
            answer[here] = _solve(self._store.read((row, row)), answer[here], transposed=True)
            for column in range(row + 1, count):
                answer[self._span(column)] -= self._store.read((row, column)).T @ answer[here]
        for row in reversed(range(count)):
            here = self._span(row)
            for column in range(row + 1, count):
                answer[here] -= self._store.read((row, column)) @ answer[self._span(column)]
            answer[here] = _solve(self._store.read((row, row)), answer[here], transposed=False)
        return answer

    def _span(self, number: int) -> slice:
        start = self._starts[number]
        return slice(start, min(start + self._store.tile, self._store.size))


def _cholesky(matrix: np.ndarray, diagonal: np.ndarray, rounding: float) -> np.ndarray:
    """Compute U of one tile; `diagonal` holds the pivots before any subtraction."""
    try:
        factor = scipy.linalg.cholesky(matrix, check_finite=False)
    except np.linalg.LinAlgError:
        raise SingularError("the kernel is singular to rounding") from None
    # A pivot is what remains of a diagonal entry; entries have errors of a few roundings.
    if (factor.diagonal() ** 2 <= 10 * rounding * diagonal).any():
        raise SingularError("the kernel is singular to rounding")
    return factor


def _solve(factor: np.ndarray, right: np.ndarray, *, transposed: bool) -> np.ndarray:
    return scipy.linalg.solve_triangular(factor, right, trans=int(transposed), check_finite=False)

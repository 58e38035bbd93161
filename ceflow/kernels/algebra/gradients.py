"""Kernel regression by conjugate gradients, for kernels whose Cholesky factor takes too long."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import scipy.linalg
from jaxtyping import Float

from ceflow.kernels.algebra.matrix import Matrix, epsilon, finite, row_blocks
from ceflow.kernels.algebra.regression import checked_regression
from ceflow.kernels.costs import MOST_ITERATIONS, landmarks

Rows = Float[np.ndarray, "n columns"]


class Iterated(NamedTuple):
    """A kernel regression that was fitted by conjugate gradients."""

    coefficients: Float[np.ndarray, "n ..."]
    """`(K + ridge 1)^-1 Y`, to the residual."""
    iterations: int
    """Number of products with the kernel until the residual was small enough, or the most."""
    residual: float
    """Largest `|Y_a - (K + ridge 1) c_a|/|Y_a|` over columns a of the targets."""


def conjugate_gradients(
    kernel: Matrix,
    targets: Float[np.ndarray, "n ..."],
    ridge: float = 0.0,
    *,
    tolerance: float = 1e-6,
    rank: int | None = None,
    most: int = MOST_ITERATIONS,
) -> Iterated:
    """Compute the coefficients of `fit` by conjugate gradients, until the residual of each column
    is at most `tolerance`, or `most` iterations were done.

    An iteration is one product with the kernel; for one in tiles it reads each tile once. They are
    preconditioned by a Nystrom approximation of `rank` examples, by default as many as a kernel of
    this size allows (Frangella, Tropp and Udell, SIAM J. Matrix Anal. Appl. 44, 2023; here of
    examples chosen at random, the same in every call). Memory holds `rank` columns of the kernel.

    The residual is computed anew at the end. If it is above `tolerance`, the iteration did not
    converge: a larger ridge helps. Raises `ValueError` as `fit` does, and if the kernel is seen to
    have a negative eigenvalue.

    >>> conjugate_gradients(np.eye(2), np.array([1.0, -1.0]), ridge=1.0).coefficients
    array([ 0.5, -0.5])
    """
    kernel, targets = checked_regression(kernel, targets, ridge)
    columns = targets.reshape(len(targets), -1)
    norms = np.linalg.norm(columns, axis=0)
    precondition = _nystrom(kernel, ridge, landmarks(len(kernel)) if rank is None else rank)

    def product(rows: Rows) -> Rows:
        return finite(kernel @ rows) + ridge * rows

    solution, iterations = _iterated(product, precondition, columns, tolerance * norms, most)
    left = np.linalg.norm(columns - product(solution), axis=0)
    residual = float(np.divide(left, norms, out=np.zeros_like(left), where=norms > 0).max())
    return Iterated(solution.reshape(targets.shape), iterations, residual)


def _iterated(
    product: Callable[[Rows], Rows],
    precondition: Callable[[Rows], Rows],
    columns: Rows,
    enough: Float[np.ndarray, " columns"],
    most: int,
) -> tuple[Rows, int]:
    """Iterate on each column until its residual is small enough; one product serves all."""
    solution, residuals = np.zeros_like(columns), columns.copy()
    directions = precondition(residuals)
    inner = (residuals * directions).sum(axis=0)  # r . z, with z the preconditioned residual
    for iteration in range(most):
        left = np.linalg.norm(residuals, axis=0) > enough
        if not left.any():
            return solution, iteration
        products = product(directions[:, left])
        curvatures = (directions[:, left] * products).sum(axis=0)
        if (curvatures <= 0).any():
            raise ValueError(
                "the kernel has negative eigenvalues; it must be positive semidefinite, and with"
                " rounding needs a ridge"
            )
        steps = inner[left] / curvatures
        solution[:, left] += steps * directions[:, left]
        residuals[:, left] -= steps * products
        preconditioned = precondition(residuals[:, left])
        next_inner = (residuals[:, left] * preconditioned).sum(axis=0)
        directions[:, left] = preconditioned + next_inner / inner[left] * directions[:, left]
        inner[left] = next_inner
    return solution, most


def _nystrom(kernel: Matrix, ridge: float, rank: int) -> Callable[[Rows], Rows]:
    """Return the product with the inverse of `B B^T + rho 1`, where `B B^T` is the Nystrom
    approximation of the kernel, and rho the ridge plus the mean of what the approximation leaves of
    the diagonal.
    """
    if rank == 0:
        return lambda rows: rows.copy()
    chosen = np.sort(np.random.default_rng(0).permutation(len(kernel))[:rank])
    columns = np.concatenate(
        [np.asarray(block[:, chosen], float) for _, block in row_blocks(kernel)]
    )
    eigenvalues, vectors = np.linalg.eigh(columns[chosen])
    kept = eigenvalues > 10 * epsilon(kernel) * len(kernel) * max(eigenvalues[-1], 0)
    factor = columns @ (vectors[:, kept] / np.sqrt(eigenvalues[kept]))
    diagonal = np.asarray(kernel.diagonal(), float)
    left = float((diagonal - np.square(factor).sum(axis=1)).mean())
    rho = ridge + max(left, epsilon(kernel) * float(diagonal.mean()))
    inner = factor.T @ factor
    inner[np.diag_indices_from(inner)] += rho
    solve = scipy.linalg.cho_factor(inner)
    return lambda rows: (rows - factor @ scipy.linalg.cho_solve(solve, factor.T @ rows)) / rho

"""Kernel regression by conjugate gradients, against Cholesky's method."""

from pathlib import Path

import numpy as np
import pytest

from ceflow.kernels import conjugate_gradients, fit, write_tiles

N = 300


def kernel_of(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """A kernel of Laplace: its eigenvalues fall as a power."""
    return np.exp(-np.sqrt(np.square(a[:, None] - b[None]).sum(axis=-1) + 1e-12))


X = np.random.default_rng(0).normal(size=(N, 3))
Y = np.stack([np.sin(X[:, 0]), X[:, 1] * X[:, 2]], axis=1)
K = kernel_of(X, X)


@pytest.mark.parametrize("ridge", [0.0, 1e-3, 1.0])
@pytest.mark.parametrize("tiled", [False, True])
def test_coefficients_are_those_of_cholesky(ridge: float, tiled: bool, tmp_path: Path):
    """A residual of 1e-9 |y| is an error of at most 1e-9 |y| times the largest entry of the
    inverse, the kernel's condition number for predictions, which is below 10^4 here.
    """
    kernel = write_tiles(tmp_path / "k", kernel_of, X, tile=128) if tiled else K
    found = conjugate_gradients(kernel, Y, ridge, tolerance=1e-9)
    assert found.residual <= 1.01e-9
    expected = K @ fit(K, Y, ridge)
    np.testing.assert_allclose(K @ found.coefficients, expected, atol=1e-5 * np.abs(Y).max())
    assert found.coefficients.shape == Y.shape


def test_a_preconditioner_saves_most_iterations():
    """Of a smooth kernel, whose few large eigenvalues a quarter of the examples hold."""
    smooth = np.exp(-np.square(X[:, None] - X[None]).sum(axis=-1) / 8)
    alone, ahead = (conjugate_gradients(smooth, Y, 1e-3, rank=rank) for rank in (0, None))
    assert ahead.iterations < alone.iterations / 5
    np.testing.assert_allclose(smooth @ ahead.coefficients, smooth @ alone.coefficients, atol=1e-4)


def test_the_residual_is_that_of_the_answer_also_where_it_did_not_converge():
    found = conjugate_gradients(K, Y, 0.01, most=2)
    assert found.iterations == 2
    rest = Y - K @ found.coefficients - 0.01 * found.coefficients
    relative = np.linalg.norm(rest, axis=0) / np.linalg.norm(Y, axis=0)
    assert found.residual == pytest.approx(relative.max())
    assert found.residual > 1e-3


def test_columns_end_one_by_one():
    """One column is 0, another an eigenvector: no division by 0, no more iterations for them."""
    vector = np.linalg.eigh(K)[1][:, -1]
    columns = np.stack([np.zeros(N), vector, Y[:, 0]], axis=1)
    found = conjugate_gradients(K, columns, 0.1, rank=0)
    assert (found.coefficients[:, 0] == 0).all()
    np.testing.assert_allclose(
        found.coefficients[:, 1], vector / (np.linalg.eigvalsh(K)[-1] + 0.1), atol=1e-6
    )
    assert found.residual <= 1.01e-6


def test_one_column_and_float32():
    found = conjugate_gradients(K.astype(np.float32), Y[:, 0], 0.1)
    assert found.coefficients.shape == (N,)
    assert found.coefficients.dtype == np.float64
    np.testing.assert_allclose(K @ found.coefficients, K @ fit(K, Y[:, 0], 0.1), atol=1e-4)


@pytest.mark.parametrize(
    ("kernel", "targets", "ridge", "message"),
    [
        (K - 0.5 * np.eye(N), Y, 0.0, "the kernel has negative eigenvalues"),
        (K, Y[:3], 0.0, "3 targets do not go with a kernel of 300 rows"),
        (K, Y, -1.0, "a ridge is a number of 0 or more"),
        (0 * K, Y, 0.0, "the kernel is 0"),
    ],
)
def test_what_cannot_be_solved_is_said(kernel, targets, ridge, message):
    with pytest.raises(ValueError, match=message):
        conjugate_gradients(kernel, targets, ridge, rank=0)

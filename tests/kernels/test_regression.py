"""What is computed from a kernel: the same in memory, from tiles, through a factor on disk."""

import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pytest

from ceflow.kernels import (
    accuracy,
    alignment,
    eigenvalue_max,
    fit,
    relative_distance,
    rounding_ridge,
    spectrum,
    write_tiles,
)
from ceflow.kernels.algebra import cholesky
from ceflow.kernels.algebra.cholesky import SingularError, factored
from ceflow.kernels.algebra.matrix import fits

N = 200
SMALL = 1
"""Bytes of memory: nothing fits, so the factor is in tiles of 64 rows, the last one ragged."""

LARGE = 2**30

random = np.random.default_rng(0)
ROTATION = np.linalg.qr(random.normal(size=(N, N)))[0]
Y = random.normal(size=(N, 3))


def with_eigenvalues(values: Any) -> np.ndarray:
    matrix = (ROTATION * np.asarray(values, float)) @ ROTATION.T
    return (matrix + matrix.T) / 2


KERNEL = with_eigenvalues(np.geomspace(1e-3, 1e2, N))
"""Condition number 1e5: solutions and the smallest eigenvalue lose five digits of sixteen."""

# From memory or from tiles on disk, through LAPACK or through tiles.
Source = Callable[[np.ndarray], Any]


@pytest.fixture(params=["array", "tiles"])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Source:
    def on_disk(matrix: np.ndarray) -> Any:
        def block(rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
            return matrix[np.ix_(rows[:, 0], columns[:, 0])]

        return write_tiles(tmp_path / "k", block, np.arange(len(matrix))[:, None], tile=48)

    return on_disk if request.param == "tiles" else lambda matrix: matrix


@pytest.fixture(params=[SMALL, LARGE], ids=["small", "large"])
def memory(request: pytest.FixtureRequest) -> int:
    return request.param


# the factor


def test_memory_decides_where_the_factor_lies():
    assert fits(6000, LARGE)
    assert not fits(7000, LARGE)
    assert not fits(1, SMALL)


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 128, N])
@pytest.mark.parametrize("shape", [(), (1,), (3,)])
def test_a_factor_solves(size: int, shape: tuple[int, ...], memory: int):
    matrix = KERNEL[:size, :size] + 0.1 * np.eye(size)
    right = np.random.default_rng(size).normal(size=(size, *shape))
    with factored(KERNEL[:size, :size], 0.1, memory=memory) as factor:
        found = factor.solve(right)
    assert found.shape == right.shape
    # a backward stable solve: the residual is N eps |K| |x|, 200 * 2e-16 * 1e2, times |x|
    error = np.abs(matrix @ found - right).max()
    assert error <= 1e-11 * np.abs(found).max()


def test_both_factors_are_the_same(source: Source):
    with factored(source(KERNEL), memory=LARGE) as dense, factored(KERNEL, memory=SMALL) as tiled:
        one, two = dense.solve(Y), tiled.solve(Y)
    assert relative_distance(two, one) < 1e-10  # 1e5 * 1e-16, and a hundredfold to spare


def test_the_folder_of_a_factor_goes_when_it_is_done_or_fails(tmp_path: Path):
    with factored(KERNEL, memory=SMALL, scratch=tmp_path):
        assert len(list(tmp_path.iterdir())) == 1
    assert not list(tmp_path.iterdir())
    with (
        pytest.raises(SingularError),
        factored(np.ones((N, N)), memory=SMALL, scratch=tmp_path),
    ):
        pass
    assert not list(tmp_path.iterdir())


def test_a_factor_lies_beside_a_kernel_on_disk(tmp_path: Path):
    kernel = write_tiles(tmp_path / "k", lambda a, b: (a == b.T) * 1.0, np.arange(90)[:, None])
    with factored(kernel, memory=SMALL):
        assert len(list(tmp_path.iterdir())) == 2


def test_a_disk_too_small_for_the_factor_is_said_first(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(cholesky, "disk_usage", lambda _: SimpleNamespace(free=2e5))
    # ten tiles of 64 x 64 in float64: 0.33 MB
    with (
        pytest.raises(OSError, match=r"has 0\.0 GB; make room there, or give another folder"),
        factored(KERNEL, memory=SMALL),
    ):
        pass


# the spectrum


def test_both_ends_of_the_spectrum(source: Source, memory: int):
    found = spectrum(source(KERNEL), memory=memory)
    assert found.eigenvalue_max == pytest.approx(1e2, rel=1e-12)
    assert found.eigenvalue_min == pytest.approx(1e-3, rel=1e-9)  # 1e5 * 2e-16 * sqrt(N)
    assert found.condition == pytest.approx(1e5, rel=1e-9)


def test_the_largest_eigenvalue(source: Source):
    assert eigenvalue_max(source(KERNEL)) == pytest.approx(1e2, rel=1e-12)


@pytest.mark.parametrize("unit", [0.0, 1e-300, 1e300])
def test_the_largest_eigenvalue_of_a_kernel_of_any_size(unit: float):
    # ARPACK's own norms would overflow or vanish
    assert eigenvalue_max(unit * KERNEL) == pytest.approx(unit * 1e2, rel=1e-12)


def test_close_eigenvalues_are_told_apart(memory: int):
    ends = [1.0, 1.001, *np.linspace(2, 90, N - 4), 99.9, 100.0]
    found = spectrum(with_eigenvalues(ends), memory=memory)
    assert found[:2] == pytest.approx((100.0, 1.0), rel=1e-10)


@pytest.mark.parametrize(("dtype", "regular"), [("float64", True), ("float32", False)])
def test_a_condition_number_below_rounding_has_no_value(
    dtype: str, regular: bool, source: Source, memory: int
):
    # at 1e-7 of the largest, and |K|_F about 2.6: above 10 * 2e-16 |K|, below 10 * 1e-7 |K|
    matrix = with_eigenvalues(np.geomspace(1e-7, 1, N)).astype(dtype)
    found = spectrum(source(matrix), memory=memory)
    assert (found.condition is not None) == regular
    assert found.eigenvalue_max == pytest.approx(1, rel=1e-6)
    if regular:
        assert found.eigenvalue_min == pytest.approx(1e-7, rel=1e-6)  # 1e-16 absolute, tenfold
    else:
        assert abs(found.eigenvalue_min) < 2.4e-5


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_equal_examples_leave_no_condition_number(dtype: str, source: Source, memory: int):
    matrix = KERNEL.astype(dtype)
    matrix[7], matrix[:, 7] = matrix[3], matrix[:, 3]
    matrix[7, 7] = matrix[3, 3]
    found = spectrum(source(matrix), memory=memory)
    bound = N * float(np.finfo(dtype).eps) * found.eigenvalue_max
    assert found.condition is None
    assert abs(found.eigenvalue_min) <= bound
    assert found.eigenvalue_max == pytest.approx(np.linalg.eigvalsh(matrix)[-1], rel=1e-5)


def test_a_matrix_that_is_no_kernel_has_its_negative_eigenvalue(source: Source, memory: int):
    found = spectrum(source(with_eigenvalues([-5, *np.linspace(1, 10, N - 1)])), memory=memory)
    assert found[:2] == pytest.approx((10, -5), rel=1e-10)
    assert found.condition is None


# regression


def test_coefficients_against_mpmath(source: Source, memory: int):
    size, ridge = 12, 0.01
    matrix, y = KERNEL[:size, :size].copy(), Y[:size]
    with mpmath.workdps(40):
        system = mpmath.matrix(matrix) + ridge * mpmath.eye(size)
        exact = [float(value) for value in mpmath.lu_solve(system, mpmath.matrix(y[:, 0]))]
    found = fit(source(matrix), y, ridge, memory=memory)
    assert found.dtype == float
    # condition 1e4 of the block with its ridge, times a few 1e-16
    np.testing.assert_allclose(found[:, 0], exact, rtol=1e-11)


def test_without_a_ridge_the_targets_are_met(source: Source, memory: int):
    coefficients = fit(source(KERNEL), Y, memory=memory)
    np.testing.assert_allclose(KERNEL @ coefficients, Y, rtol=0, atol=1e-9)


def test_targets_in_one_column_or_none(memory: int):
    flat, column = (
        fit(KERNEL, Y[:, 0], 1.0, memory=memory),
        fit(KERNEL, Y[:, :1], 1.0, memory=memory),
    )
    assert flat.shape == (N,)
    np.testing.assert_allclose(flat, column[:, 0], rtol=0, atol=1e-13)


def float32_kernel() -> np.ndarray:
    """Of two hundred points on a line, by a smooth kernel: far below rounding."""
    x = np.linspace(0, 1, N)
    return np.exp(-((x[:, None] - x) ** 2)).astype(np.float32)


def equal_rows() -> np.ndarray:
    half = KERNEL[: N // 2, : N // 2]
    return np.block([[half, half], [half, half]])


SINGULAR = {
    "ones": lambda: np.ones((N, N)),
    "equal rows": equal_rows,
    "equal rows, float32": lambda: equal_rows().astype(np.float32),
    "smooth, float32": float32_kernel,
    "zero row": lambda: np.diag([0.0, *[1.0] * (N - 1)]),
}


@pytest.mark.parametrize("name", SINGULAR)
def test_the_ridge_that_a_singular_kernel_asks_for_is_enough(
    name: str, source: Source, memory: int
):
    matrix = SINGULAR[name]()
    kernel = source(matrix)
    with pytest.raises(ValueError, match="singular to rounding; give a ridge of at least") as error:
        fit(kernel, Y, memory=memory)
    ridge = float(str(error.value).rsplit(" ", 1)[-1])
    assert 0 < ridge < 1e-2 * np.trace(matrix)
    coefficients = fit(kernel, Y, ridge, memory=memory)
    residual = matrix.astype(float) @ coefficients + ridge * coefficients - Y
    # a backward stable solve, as above: N eps |K| |x|, here of |x| up to 1/ridge
    bound = N * 2.3e-16 * np.linalg.norm(matrix) * np.linalg.norm(coefficients)
    assert np.linalg.norm(residual) < bound


def test_a_matrix_that_is_no_kernel_is_refused_at_a_ridge_that_is_enough(memory: int):
    matrix = with_eigenvalues([-5, *np.linspace(1, 10, N - 1)])
    with pytest.raises(ValueError, match="negative eigenvalues beyond rounding"):
        fit(matrix, Y, 1.0, memory=memory)


@pytest.mark.parametrize("where", [(0, 0), (3, 150), (199, 199)])
def test_a_kernel_that_is_not_finite_is_refused(where: tuple[int, int], memory: int):
    matrix = KERNEL.copy()
    matrix[where] = matrix[where[::-1]] = np.nan
    for use in (lambda: fit(matrix, Y, memory=memory), lambda: spectrum(matrix, memory=memory)):
        with pytest.raises(ValueError, match="holds NaN or infinity"):
            use()


NO_KERNELS: dict[str, tuple[Any, str]] = {
    "not square": (np.ones((3, 2)), r"square matrix of 1 row or more, not of shape \(3, 2\)"),
    "a row": (np.ones(3), "a square matrix of 1 row or more"),
    "a number": (1.0, "a square matrix of 1 row or more"),
    "nothing": (np.zeros((0, 0)), "a square matrix of 1 row or more"),
    "blocks": (np.ones((2, 2, 2)), "a square matrix of 1 row or more"),
    "not symmetric": (np.arange(9.0).reshape(3, 3), r"entries \(0, 2\) and \(2, 0\) .* 2 and 6"),
    "not finite": (np.diag([1.0, np.inf]), "holds NaN or infinity"),
}


@pytest.mark.parametrize("case", NO_KERNELS)
def test_what_is_no_kernel_is_refused_at_every_door(case: str):
    matrix, says = NO_KERNELS[case]
    y = np.ones(len(matrix) if np.ndim(matrix) else 1)
    of_two = (lambda k: fit(k, y), lambda k: alignment(k, y))
    for use in (spectrum, eigenvalue_max, rounding_ridge, *of_two):
        with pytest.raises(ValueError, match=says):
            use(matrix)


def test_a_kernel_is_symmetric_to_rounding(memory: int):
    noise = np.random.default_rng(0).uniform(-1, 1, KERNEL.shape)
    assert np.isfinite(fit(KERNEL * (1 + 1e-15 * noise), Y, memory=memory)).all()


def test_what_float64_cannot_hold_is_refused():
    with pytest.raises(ValueError, match="the kernel is 0, or too small for float64"):
        fit(1e-310 * np.eye(3), np.ones(3))
    with pytest.raises(ValueError, match="coefficients overflow float64"):
        fit(1e-200 * np.eye(3), np.full(3, 1e200))


def test_targets_that_are_not_finite_are_refused():
    for use in (fit, alignment):
        with pytest.raises(ValueError, match="targets hold NaN or infinity"):
            use(np.eye(2), np.array([1.0, np.nan]))


def test_wrong_targets_and_ridges_are_refused():
    with pytest.raises(ValueError, match="199 targets do not go with a kernel of 200 rows"):
        fit(KERNEL, Y[1:])
    for ridge in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="a ridge is a number of 0 or more"):
            fit(KERNEL, Y, ridge)


# accuracy

ONE_HOT = np.eye(3)[[0, 1, 2, 1]]


@pytest.mark.parametrize(
    ("predictions", "targets", "expected"),
    [
        (ONE_HOT, ONE_HOT, 1.0),
        (ONE_HOT[[0, 1, 1, 1]], ONE_HOT, 0.75),
        (-ONE_HOT, ONE_HOT, 0.0),
        ([0.1, -3, -0.2, 9], [1, -1, 1, 1], 0.75),
        ([[0.1], [-3], [0.0], [9]], [[1], [-1], [1], [1]], 0.75),
        ([0.2, 1.4, 2.6, 8], [0, 1, 2, 9], 0.5),
    ],
)
def test_the_fraction_of_classes_met(predictions: Any, targets: Any, expected: float):
    assert accuracy(np.array(predictions), np.array(targets)) == expected


@pytest.mark.parametrize("shapes", [((4, 3), (4, 2)), ((4,), (4, 1)), ((0, 3), (0, 3))])
def test_predictions_that_do_not_go_with_targets_are_refused(shapes: Any):
    with pytest.raises(ValueError, match="do not go with targets"):
        accuracy(*map(np.ones, shapes))


def test_predictions_that_are_none_are_of_no_class():
    with pytest.raises(ValueError, match="predictions hold NaN or infinity"):
        accuracy(np.full((3, 2), np.nan), np.eye(3)[:, :2])


# alignment


@pytest.mark.parametrize("centred", [False, True])
def test_alignment_is_the_cosine_of_two_matrices(source: Source, centred: bool):
    matrix, outer = KERNEL + 5, (Y + 1) @ (Y + 1).T
    found = alignment(source(matrix), Y + 1, centred=centred)
    if centred:
        centre = np.eye(N) - 1 / N
        matrix, outer = centre @ matrix @ centre, centre @ outer @ centre
    expected = (matrix * outer).sum() / np.linalg.norm(matrix) / np.linalg.norm(outer)
    assert found == pytest.approx(expected, rel=1e-12)  # sums of 4e4 terms


@pytest.mark.parametrize("centred", [False, True])
def test_a_kernel_of_the_targets_is_wholly_aligned(centred: bool):
    assert alignment(Y @ Y.T, Y, centred=centred) == pytest.approx(1, rel=1e-12)
    assert alignment(Y @ Y.T, Y[:, 0], centred=centred) < 0.9


@pytest.mark.parametrize("centred", [False, True])
def test_classes_beyond_the_examples_take_no_memory_of_their_square(centred: bool):
    # A matrix of 10^6 x 10^6 would be 8 TB; empty classes change nothing.
    few, many = np.eye(3)[[0, 1, 0, 2]], np.zeros((4, 10**6))
    many[:, :3] = few
    kernel = KERNEL[:4, :4]
    expected = alignment(kernel, few, centred=centred)
    assert alignment(kernel, many, centred=centred) == pytest.approx(expected, rel=1e-12)


def test_only_the_centred_alignment_is_blind_to_a_constant():
    plain, centred = (alignment(KERNEL, Y, centred=centred) for centred in (False, True))
    assert alignment(KERNEL + 100, Y, centred=True) == pytest.approx(centred, rel=1e-9)
    assert abs(alignment(KERNEL + 100, Y) - plain) > 0.01


def test_alignment_of_a_float32_kernel_is_in_float64(source: Source):
    matrix = KERNEL.astype(np.float32)
    expected = alignment(matrix.astype(float), Y, centred=True)
    assert alignment(source(matrix), Y, centred=True) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("matrix", "targets", "centred"),
    [
        (np.zeros((N, N)), Y, False),
        (KERNEL, np.zeros(N), False),
        (KERNEL, np.full(N, 0.1), True),
        (np.full((N, N), 0.1), Y, True),
    ],
)
def test_nothing_is_aligned_with_nothing(matrix: np.ndarray, targets: np.ndarray, centred: bool):
    with pytest.raises(ValueError, match=r"are 0.*there is no alignment"):
        alignment(matrix, targets, centred=centred)


def test_alignment_with_other_targets_is_refused():
    with pytest.raises(ValueError, match="199 targets do not go with a kernel of 200 rows"):
        alignment(KERNEL, Y[1:])

"""Kernels on disk: the same bits as in memory, whatever the tile, the order, and who was killed."""

import itertools
import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow import kernels
from ceflow.compiler import nodes
from ceflow.kernels import TiledKernel, assemble, row_blocks, write_tiles
from ceflow.spec import Mlp
from ceflow.store.tiles import TileStore, triangle

N = 11
TILES = [1, 2, 3, 4, 11, 50]
"""Of eleven rows: each its own, ragged, ragged, ragged, one tile, and a tile larger than all."""


def rows(count: int = N, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(count, 5)).astype(np.float32)


def integers(count: int = N) -> np.ndarray:
    """Small whole numbers: their products are exact, whatever the order of summation."""
    return np.random.default_rng(1).integers(-9, 9, (count, 5)).astype(float)


def gram(x1: Any, x2: Any) -> Any:
    return x1 @ x2.T


def written(folder: Path, tile: int = 4, **options: Any) -> tuple[TiledKernel, np.ndarray]:
    """A kernel on disk, and the same in memory without tiles."""
    x = integers()
    return write_tiles(folder / "k", gram, x, tile=tile, **options), x @ x.T


# what is read back


@pytest.mark.parametrize("tile", TILES)
def test_a_kernel_is_an_array_of_the_numbers_it_was_made_of(tmp_path: Path, tile: int):
    kernel, exact = written(tmp_path, tile)
    np.testing.assert_array_equal(np.asarray(kernel), exact)
    np.testing.assert_array_equal(assemble(gram, integers(), tile=tile), exact)
    np.testing.assert_array_equal(kernel.diagonal(), exact.diagonal())
    assert kernel.trace() == exact.trace()
    assert (kernel.shape, kernel.ndim, len(kernel)) == ((N, N), 2, N)
    assert kernel.dtype == float
    assert kernel.tile == min(tile, N)
    assert kernel.is_complete


@pytest.mark.parametrize("tile", TILES)
def test_every_block_of_rows_and_columns(tmp_path: Path, tile: int):
    kernel, exact = written(tmp_path, tile)
    bounds = [None, 0, 3, 4, 99, -2]
    for a, b, (c, d) in itertools.product(bounds, bounds, [(None, None), (2, 9), (8, 5)]):
        np.testing.assert_array_equal(kernel[a:b, c:d], exact[a:b, c:d])
    np.testing.assert_array_equal(kernel[2:5], exact[2:5])


@pytest.mark.parametrize("key", [3, (3, 4), (slice(0, 9, 2), slice(None)), (slice(None), [1, 2])])
def test_what_is_no_slice_is_refused(tmp_path: Path, key: Any):
    kernel, _ = written(tmp_path)
    with pytest.raises(TypeError, match="with slices without a step"):
        kernel[key]


@pytest.mark.parametrize("tile", TILES)
@pytest.mark.parametrize("shape", [(N,), (N, 1), (N, 3)])
def test_products_with_vectors(tmp_path: Path, tile: int, shape: tuple[int, ...]):
    kernel, exact = written(tmp_path, tile)
    vectors = np.random.default_rng(2).integers(-9, 9, shape).astype(float)
    np.testing.assert_array_equal(kernel @ vectors, exact @ vectors)
    with pytest.raises(ValueError, match="10 rows do not go with a kernel of 11"):
        _ = kernel @ vectors[1:]


def test_a_product_reads_each_stored_tile_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kernel, _ = written(tmp_path)
    read, original = [], TileStore.read

    def counted(store: TileStore, index: tuple[int, int]) -> np.ndarray:
        read.append(index)
        return original(store, index)

    monkeypatch.setattr(TileStore, "read", counted)
    _ = kernel @ np.ones((N, 2))
    assert sorted(read) == triangle(N, 4)


def test_products_with_a_float32_kernel_are_in_float64(tmp_path: Path):
    x = rows(64)
    kernel = write_tiles(tmp_path / "k", gram, x, tile=16)
    v = np.random.default_rng(3).normal(size=64)
    exact = np.asarray(kernel).astype(float) @ v
    # 64 terms of size 10, each rounded to 1e-16
    np.testing.assert_allclose(kernel @ v, exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tile", TILES)
def test_row_blocks_are_all_rows_in_turn(tmp_path: Path, tile: int):
    kernel, exact = written(tmp_path, tile)
    for matrix in (kernel, exact):
        blocks = list(row_blocks(matrix))
        assert [i for rows, _ in blocks for i in range(rows.start, rows.stop)] == list(range(N))
        np.testing.assert_array_equal(np.concatenate([block for _, block in blocks]), exact)


def test_a_kernel_is_found_again(tmp_path: Path):
    kernel, exact = written(tmp_path)
    again = kernels.open(str(kernel.path))
    np.testing.assert_array_equal(again, exact)
    np.testing.assert_array_equal(np.asarray(again, np.float32), exact.astype(np.float32))
    assert repr(again) == f"TiledKernel('{kernel.path}', (11, 11), float64)"
    with pytest.raises(ValueError, match="only as a copy"):
        np.asarray(again, copy=False)
    with pytest.raises(ValueError, match="holds no tiled matrix"):
        kernels.open(tmp_path / "elsewhere")


# the same bits

SPEC = Mlp(widths=(float("inf"),) * 3, bias_variance=0.1)


def analytic_ntk(x1: Any, x2: Any) -> jax.Array:
    return kernels.analytic(SPEC, x1, x2).ntk


@pytest.mark.parametrize("tile", [64, 128])
def test_an_analytic_kernel_in_tiles_has_the_bits_of_the_whole(tmp_path: Path, tile: int):
    x = rows(200)
    whole = np.asarray(kernels.analytic(SPEC, x).ntk)
    upper = np.triu_indices(len(x))
    kernel = write_tiles(tmp_path / "k", analytic_ntk, x, tile=tile)
    np.testing.assert_array_equal(np.asarray(kernel)[upper], whole[upper])
    assert kernel.dtype == np.float32


def test_a_kernel_is_symmetric_to_the_last_bit(tmp_path: Path):
    # NaN-free noise that is not symmetric at all: the upper half wins
    def lopsided(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
        return np.arange(len(x1))[:, None] * 1.0 - x2[:, 0]

    matrix = np.asarray(write_tiles(tmp_path / "k", lopsided, rows(), tile=4))
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(matrix, assemble(lopsided, rows(), tile=4))


ORDERS: dict[str, Callable[[list[Any]], Any]] = {
    "backwards": lambda tiles: tiles[::-1],
    "by columns": lambda tiles: sorted(tiles, key=lambda tile: tile[1]),
    "shuffled": lambda tiles: random.Random(1).sample(tiles, len(tiles)),
    "an array": np.array,
    "twice": lambda tiles: iter(tiles + tiles),
}


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_tiles_changes_no_bit(tmp_path: Path, order: str):
    tiles = ORDERS[order](triangle(N, 4))
    kernel = write_tiles(tmp_path / "k", jax.jit(gram), rows(), tile=4, order=tiles)
    np.testing.assert_array_equal(kernel, assemble(jax.jit(gram), rows(), tile=4))


def test_a_kernel_is_called_with_one_shape_only(tmp_path: Path):
    shapes = set()

    def kernel(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
        shapes.add((x1.shape, x2.shape))
        return gram(x1, x2)

    write_tiles(tmp_path / "k", kernel, rows(), tile=4)
    assert shapes == {((4, 5), (4, 5))}


# part by part


def test_a_part_of_the_tiles_and_then_the_rest(tmp_path: Path):
    calls: list[tuple[int, int]] = []
    counts: list[tuple[int, int]] = []

    def kernel(x1: np.ndarray, x2: np.ndarray) -> np.ndarray:
        calls.append((len(calls), 0))
        return gram(x1, x2)

    def write(order: Any) -> TiledKernel:
        counts.clear()
        calls.clear()
        return write_tiles(
            tmp_path / "k",
            kernel,
            integers(),
            tile=4,
            order=order,
            observe=lambda *count: counts.append(count),
        )

    part = write([(1, 2), (0, 0)])
    assert counts == [(1, 6), (2, 6)]
    assert not part.is_complete
    assert repr(part).endswith("not complete)")
    np.testing.assert_array_equal(part[:4, :4], (integers() @ integers().T)[:4, :4])
    for use in (np.asarray, TiledKernel.trace, lambda kernel: kernel @ np.ones(N)):
        with pytest.raises(ValueError, match=r"4 of its 6 tiles are missing, tile \(0, 1\) first"):
            use(part)
    whole = write(None)
    assert counts == [(3, 6), (4, 6), (5, 6), (6, 6)]
    assert len(calls) == 4
    np.testing.assert_array_equal(whole, integers() @ integers().T)
    write(None)
    assert counts == calls == []


def test_a_kernel_that_fails_leaves_what_was_done(tmp_path: Path):
    def fails_at(count: int) -> Callable[[Any, Any], Any]:
        calls = itertools.count()

        def kernel(x1: Any, x2: Any) -> Any:
            if next(calls) == count:
                raise RuntimeError("out of luck")
            return gram(x1, x2)

        return kernel

    with pytest.raises(RuntimeError, match="out of luck"):
        write_tiles(tmp_path / "k", fails_at(3), integers(), tile=4)
    assert len(TileStore(tmp_path / "k").missing) == 3
    np.testing.assert_array_equal(written(tmp_path)[0], integers() @ integers().T)


SCRIPT = """
import sys, time
import numpy as np
from ceflow.kernels import write_tiles
x = np.random.default_rng(0).normal(size=(300, 5))
def kernel(a, b):
    time.sleep(0.005)
    return a @ b.T
def observe(*_):
    sys.stdout.write("tile\\n"); sys.stdout.flush()
write_tiles(sys.argv[1], kernel, x, tile=32, identity="x", observe=observe)
"""


def test_killed_again_and_again_it_comes_to_the_same_bits(tmp_path: Path):
    path = tmp_path / "k"
    for tiles in (1, 20, 10**9):
        command = [sys.executable, "-c", SCRIPT, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for _ in range(tiles):
                if not process.stdout.readline():
                    break
            else:
                os.kill(process.pid, signal.SIGKILL)
        assert kernels.open(path).is_complete == (tiles == 10**9)
    x = np.random.default_rng(0).normal(size=(300, 5))
    np.testing.assert_array_equal(kernels.open(path), assemble(gram, x, tile=32))


# a full disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no leave to mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_in_a_sentence_and_nothing_is_lost(small_disk: Path):
    x = np.random.default_rng(0).normal(size=(512, 5))
    full = small_disk / "large"
    full.write_bytes(bytes(600_000))
    with pytest.raises(OSError, match="No space left on device; the tiles that are done are kept"):
        write_tiles(small_disk / "k", gram, x, tile=128)
    kept = len(triangle(512, 128)) - len(kernels.open(small_disk / "k")._store.missing)
    assert 1 <= kept <= 3  # of 128 kB each, in 400 kB
    assert not list(small_disk.rglob("*.partial"))
    full.unlink()
    with pytest.raises(OSError, match="No space left"):
        write_tiles(small_disk / "k", gram, x, tile=128)
    assert 10 - len(kernels.open(small_disk / "k")._store.missing) > kept


def test_where_writing_fails_the_done_tiles_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    original, left = TileStore.write, iter(range(3))

    def write(store: TileStore, index: tuple[int, int], block: np.ndarray) -> None:
        if next(left, None) is None:
            raise OSError(28, "No space left on device")
        original(store, index, block)

    with monkeypatch.context() as patch:
        patch.setattr(TileStore, "write", write)
        with pytest.raises(OSError, match="the same run again adds only those that are missing"):
            written(tmp_path)
    assert len(TileStore(tmp_path / "k").missing) == 3
    kernel, exact = written(tmp_path)
    np.testing.assert_array_equal(kernel, exact)


# bad input


@pytest.mark.parametrize("tile", [0, -3, 1.5])
def test_a_tile_of_no_rows_is_refused(tmp_path: Path, tile: Any):
    with pytest.raises(ValueError, match="a whole number of rows, 1 or more"):
        written(tmp_path, tile)
    with pytest.raises(ValueError, match="a whole number of rows, 1 or more"):
        assemble(gram, rows(), tile=tile)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"identity": "an NNGP"}, "the identity: an NTK"),
        ({"tile": 3}, "rows a tile: 4, not 3"),
        ({"x": integers(12)}, "rows: 11, not 12"),
        ({"x": -integers()}, "the identity"),
        ({"x": integers().astype(np.float32)}, "the identity"),
        ({"kernel": lambda a, b: gram(a, b).astype(np.float32), "order": None}, "holds float64"),
    ],
)
def test_the_store_of_another_run_is_refused(tmp_path: Path, change: dict[str, Any], why: str):
    run: dict[str, Any] = {"kernel": gram, "x": integers(), "tile": 4, "identity": "an NTK"}
    write_tiles(tmp_path / "k", **run, order=[(0, 0)])
    with pytest.raises(ValueError, match=why):
        write_tiles(tmp_path / "k", **run | change)
    np.testing.assert_array_equal(write_tiles(tmp_path / "k", **run), integers() @ integers().T)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_examples_that_are_not_finite_are_named(tmp_path: Path, value: float):
    x = rows()
    x[7, 2] = value
    for compute in (lambda: write_tiles(tmp_path / "k", gram, x), lambda: assemble(gram, x)):
        with pytest.raises(ValueError, match="example 7 is not"):
            compute()
    assert not (tmp_path / "k").exists()


@pytest.mark.parametrize("x", [np.ones((0, 3)), np.float32(2)])
def test_no_examples_are_refused(tmp_path: Path, x: Any):
    with pytest.raises(ValueError, match="must hold examples as rows"):
        write_tiles(tmp_path / "k", gram, x)


def test_a_kernel_of_another_shape_is_refused(tmp_path: Path):
    with pytest.raises(ValueError, match=r"of shape \(4, 4\), not \(4, 5\)"):
        write_tiles(tmp_path / "k", lambda x1, x2: x1, rows(), tile=4)
    assert not (tmp_path / "k").exists()


@pytest.mark.parametrize("index", [(1, 0), (0, 3), (-1, 0)])
def test_a_tile_that_there_is_not_is_refused(tmp_path: Path, index: tuple[int, int]):
    with pytest.raises(ValueError, match=r"there is no tile .*tiles go from \(0, 0\) to \(2, 2\)"):
        written(tmp_path, order=[index])


def test_examples_may_be_arrays_of_jax_and_of_any_shape(tmp_path: Path):
    x = jnp.asarray(rows(6)).reshape(6, 5, 1)
    kernel = write_tiles(
        tmp_path / "k", jax.jit(lambda a, b: jnp.einsum("nic,mic->nm", a, b)), x, tile=4
    )
    # sums of five products in float32
    np.testing.assert_allclose(kernel, rows(6) @ rows(6).T, rtol=0, atol=1e-5)


def test_the_kernel_of_a_tree_of_layers_on_images_is_written_in_tiles(tmp_path: Path):
    """Each pair is computed once: on the diagonal a tile gets one batch, and uses its symmetry."""
    image = (3, 4, 4)
    root = nodes.Chain(
        (
            nodes.Convolution(image, 3, 3, 1, 1, 2.0, 0.0),
            nodes.Activation("relu", image),
            nodes.Flatten(image),
            nodes.Dense(48, 1, 1.0, 0.0),
        )
    )
    x = np.random.default_rng(2).standard_normal((5, *image)).astype(np.float32)
    ntk, batches = kernels.block_kernel(root, "ntk"), []

    def kernel(x1: Any, x2: Any) -> Any:
        batches.append(x1 is x2)
        return ntk(x1, x2)

    tiles = write_tiles(tmp_path / "k", kernel, x, tile=2)
    np.testing.assert_array_equal(np.asarray(tiles), ntk(x))
    assert batches == [True, False, False, True, False, True]

"""Tiles on disk: whole or not there, whenever the process dies."""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from ceflow.store.arrays import read_array
from ceflow.store.tiles import TileStore, checked_tile, triangle

FLOAT = np.dtype("float32")


def block_of(store: TileStore, index: tuple[int, int]) -> np.ndarray:
    rows, columns = (min(store.tile, store.size - number * store.tile) for number in index)
    numbers = np.random.default_rng(index).normal(size=(rows, columns))
    return numbers.astype(store.dtype)


def filled(path: Path, size: int, tile: int) -> TileStore:
    store = TileStore.create(path, size, tile, FLOAT)
    for index in store.tiles:
        store.write(index, block_of(store, index))
    return store


@pytest.mark.parametrize(("size", "tile"), [(1, 1), (6, 2), (7, 2), (7, 3), (5, 8)])
def test_tiles_come_back_as_they_went(tmp_path: Path, size: int, tile: int):
    store = TileStore(filled(tmp_path / "k", size, tile).path)
    assert store.missing == []
    assert (store.size, store.tile, store.dtype) == (size, tile, FLOAT)
    for index in store.tiles:
        np.testing.assert_array_equal(store.read(index), block_of(store, index))


def test_any_zarr_reader_sees_the_upper_half_and_nan_below(tmp_path: Path):
    store = filled(tmp_path / "k", 7, 3)
    array = zarr.open_array(str(store.path), mode="r")
    matrix: Any = array[...]
    for row, column in store.tiles:
        above, beside = slice(3 * row, 3 * row + 3), slice(3 * column, 3 * column + 3)
        np.testing.assert_array_equal(matrix[above, beside], block_of(store, (row, column)))
        if row < column:
            assert np.isnan(matrix[beside, above]).all()
    assert array.compressors == ()


def test_a_tile_of_nothing_but_nan_or_zero_is_done_when_it_is_written(tmp_path: Path):
    store = TileStore.create(tmp_path / "k", 4, 2, FLOAT)
    for index, value in zip(store.tiles, (np.nan, 0.0, 1.0), strict=True):
        store.write(index, np.full((2, 2), value, FLOAT))
        assert store.has(index)


def test_a_matrix_has_a_file_for_each_tile_on_or_above_the_diagonal(tmp_path: Path):
    store = filled(tmp_path / "k", 7, 2)
    files = [path for path in (store.path / "c").rglob("*") if path.is_file()]
    assert len(files) == len(triangle(7, 2)) == 10
    assert {path.stat().st_size for path in files} == {2 * 2 * 4}


@pytest.mark.parametrize("left", [b"", b"half of", b"far more than a tile of it would hold"])
def test_a_torn_tile_is_not_done_and_can_be_written_again(tmp_path: Path, left: bytes):
    store = filled(tmp_path / "k", 5, 2)
    (store.path / "c" / "0" / "2").write_bytes(left)
    assert store.missing == [(0, 2)]
    with pytest.raises(ValueError, match=r"1 of its 6 tiles are missing, tile \(0, 2\) first"):
        store.read((0, 2))
    store.write((0, 2), block_of(store, (0, 2)))
    np.testing.assert_array_equal(store.read((0, 2)), block_of(store, (0, 2)))


def test_strays_are_removed_and_tiles_are_not(tmp_path: Path):
    store = filled(tmp_path / "k", 5, 2)
    (store.path / "c" / "0" / "1.0123.partial").write_bytes(b"stray")
    again = TileStore.resume(store.path, 5, 2, "")
    assert again is not None
    assert again.missing == []
    assert not list(store.path.rglob("*.partial"))


@pytest.mark.parametrize(
    ("size", "tile", "identity", "why"),
    [
        (6, 2, "a", "rows: 5, not 6"),
        (5, 3, "a", "rows a tile: 2, not 3"),
        (5, 2, "b", "identity: a, not b"),
    ],
)
def test_the_store_of_another_run_is_refused(tmp_path: Path, size, tile, identity, why):
    TileStore.create(tmp_path / "k", 5, 2, FLOAT, "a")
    assert TileStore.resume(tmp_path / "k", 5, 2, "a") is not None
    with pytest.raises(ValueError, match=f"{why}.*remove it or give another path"):
        TileStore.resume(tmp_path / "k", size, tile, identity)


def a_file(path: Path) -> None:
    path.write_text("mine")


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "thesis.tex").write_text("mine")


def an_array(path: Path) -> None:
    zarr.save_array(str(path), np.ones((2, 2)))  # pyright: ignore[reportArgumentType]


def a_group(path: Path) -> None:
    zarr.create_group(str(path))


def torn_metadata(path: Path) -> None:
    path.mkdir()
    (path / "zarr.json").write_text('{"shape": [')


@pytest.mark.parametrize("make", [a_file, a_folder, an_array, a_group, torn_metadata])
def test_what_is_no_store_is_refused_and_left_alone(tmp_path: Path, make: Any):
    path = tmp_path / "k"
    make(path)
    before = sorted((item, item.stat().st_mtime_ns) for item in path.rglob("*"))
    for use in (lambda: TileStore(path), lambda: TileStore.resume(path, 2, 1, "")):
        with pytest.raises(ValueError, match="holds no tiled matrix"):
            use()
    assert sorted((item, item.stat().st_mtime_ns) for item in path.rglob("*")) == before


def test_a_format_of_the_future_is_refused(tmp_path: Path):
    store = TileStore.create(tmp_path / "k", 2, 1, FLOAT)
    file = store.path / "zarr.json"
    file.write_text(file.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(ValueError, match="is of format 2, this ceflow reads format 1"):
        TileStore(store.path)


def test_where_nothing_is_yet_there_is_nothing_to_resume(tmp_path: Path):
    assert TileStore.resume(tmp_path / "none", 2, 1, "") is None
    half = tmp_path / "half"  # died while the metadata was written
    half.mkdir()
    (half / "zarr.0123.partial").write_text("{")
    assert TileStore.resume(half, 2, 1, "") is None
    assert TileStore.create(half, 2, 1, FLOAT).missing == triangle(2, 1)


def test_numbers_of_another_type_are_refused(tmp_path: Path):
    store = TileStore.create(tmp_path / "k", 2, 2, FLOAT)
    with pytest.raises(ValueError, match="holds float32, and a tile of float64 came"):
        store.write((0, 0), np.ones((2, 2)))
    assert store.missing


@pytest.mark.parametrize("tile", [0, -1, 2.0, 2.5, "2", None, True, float("nan")])
def test_a_tile_that_is_no_number_of_rows_is_refused(tile: Any):
    with pytest.raises(ValueError, match="a whole number of rows, 1 or more"):
        checked_tile(tile)
    assert checked_tile(np.int64(3)) == 3  # pyright: ignore[reportArgumentType]


WRITER = """
import sys
from pathlib import Path
import numpy as np
from ceflow.store.tiles import TileStore
path, size, tile = Path(sys.argv[1]), 2000, 256
store = TileStore.resume(path, size, tile, "x") or TileStore.create(
    path, size, tile, np.dtype("float32"), "x")
sys.stdout.write("begun\\n"); sys.stdout.flush()
for index in store.missing:
    rows, columns = (min(tile, size - number * tile) for number in index)
    store.write(index, np.full((rows, columns), 100 * index[0] + index[1], "float32"))
    sys.stdout.write("tile\\n"); sys.stdout.flush()
"""


def test_whole_tiles_survive_a_process_killed_at_any_moment(tmp_path: Path):
    path, random_ = tmp_path / "k", random.Random(0)
    done, kills = -1, 0
    while True:
        command = [sys.executable, "-c", WRITER, str(path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            # Three tiles and a bit, so that some tile or its rename is under way.
            lines = [process.stdout.readline() for _ in range(1 if done < 0 else 4)]
            if not all(lines):
                break
            time.sleep(random_.uniform(0, 0.003))
            os.kill(process.pid, signal.SIGKILL)
        kills += 1
        store = TileStore(path)
        now = len(store.tiles) - len(store.missing)
        assert now > done
        done = now
        for index in set(store.tiles) - set(store.missing):
            assert (store.read(index) == 100 * index[0] + index[1]).all()
    assert kills >= 2  # on a busy machine many tiles are written before a kill comes
    assert TileStore(path).missing == []
    assert not list(path.rglob("*.partial"))


def test_read_array_gives_the_whole_of_a_triangle(tmp_path: Path):
    matrix = np.arange(25.0).reshape(5, 5)
    matrix = matrix + matrix.T
    store = TileStore.create(tmp_path / "k", 5, 2, matrix.dtype)
    for row, column in store.tiles:
        rows, columns = (slice(2 * i, 2 * i + 2) for i in (row, column))
        store.write((row, column), matrix[rows, columns])
    np.testing.assert_array_equal(read_array(tmp_path / "k"), matrix)

"""What is on disk need not be in memory too."""

import os
from pathlib import Path

import numpy as np
import pytest

from ceflow.store.atomic import release
from ceflow.store.tiles import TileStore

PAGES = bytes(range(256)) * 256
"""64 kB."""


def cached(file: Path) -> bool:
    """Whether the first page can be read without the disk."""
    with file.open("rb") as opened:
        try:
            return os.preadv(opened.fileno(), [bytearray(16)], 0, os.RWF_NOWAIT) > 0
        except BlockingIOError:
            return False


def flushed(file: Path) -> Path:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())
    return file


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """On a disk: a file system that is itself in memory keeps all there."""
    probe = tmp_path / "probe"
    probe.write_bytes(PAGES)
    try:
        flushed(probe)
        before = cached(probe)
        with probe.open("rb") as opened:
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        if before and not cached(probe):
            return tmp_path
    except (AttributeError, OSError):
        pass
    pytest.skip("no page cache that takes advice")


def test_a_released_file_is_as_it_was_and_not_in_memory(folder: Path):
    file = folder / "file"
    file.write_bytes(PAGES)
    assert cached(flushed(file))
    release(file)
    assert not cached(file)
    assert file.read_bytes() == PAGES


def test_a_tile_leaves_memory_when_the_next_is_written(folder: Path):
    store = TileStore.create(folder / "k", 384, 128, np.dtype("float32"))
    block = np.random.default_rng(0).normal(size=(128, 128)).astype(np.float32)
    for index in store.tiles:
        store.write(index, block)
        flushed(store.path / "c" / str(index[0]) / str(index[1]))  # slow disks would be late
    assert [cached(file) for file in sorted((store.path / "c").glob("*/*"))][:-1] == [False] * 5
    for index in store.tiles:
        np.testing.assert_array_equal(store.read(index), block)


def test_a_file_that_is_gone_is_no_fault(tmp_path: Path):
    release(tmp_path / "gone")


def test_a_system_without_advice_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delattr(os, "posix_fadvise", raising=False)
    (tmp_path / "file").write_bytes(PAGES)
    release(tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == PAGES

"""Examples on demand are those that `load` gives, in any order, in little memory."""

import gzip
import tempfile
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import idx_bytes
from small_sources import write_all

from ceflow.data import extent, load, stream
from ceflow.seeding import Seed
from ceflow.spec import (
    Cifar10,
    Cifar100,
    Data,
    DataTable,
    Digits,
    Emnist,
    Gaussian,
    Idx,
    ImageFiles,
    Imagenet32,
    Npz,
    SpecError,
)

SEED = Seed(3)
ALL = 10**6

SPECS: dict[str, Data] = {
    "digits": Digits(train=60, test=10),
    "digits, classes": Digits(classes=["8", "1"], targets="signed", flips=True),
    "idx": Idx(path="."),
    "cifar10": Cifar10(path=".", classes=["automobile", "airplane"]),
    "cifar100": Cifar100(path="cifar100"),
    "emnist": Emnist(path="emnist", flips=True),
    "imagenet32": Imagenet32(path="imagenet32"),
    "images": ImageFiles(path="photos", size=5),
    "npz": Npz(path="a.npz"),
    "npz, labels": Npz(path="a.npz", targets="one-hot"),
    "npz, columns": Npz(path="columns.npz"),
    "table": DataTable(path="animals.csv", label="kind"),
    "table, raw": DataTable(path="animals.csv", label="weight", columns=["height"], targets="raw"),
    "table, two": DataTable(path="animals.csv", label="kind", test_path="more.csv"),
    "gaussian": Gaussian(inputs=3, outputs=2, train=5, test=4, normalise="unit"),
}
PREPARED: dict[str, dict[str, Any]] = {
    "as it is": {},
    "unit": {"normalise": "unit", "scale": 0.3},
    "contrast": {"normalise": "contrast", "zca": 0.5},
    "standard": {"normalise": "standard", "flips": True},
    "whitened": {"zca": 0.1, "flips": True, "scale": 2.0},
}


@pytest.fixture
def files(folder: Path) -> Path:
    write_all(folder)
    x = np.asfortranarray(np.arange(24.0).reshape(4, 2, 3))
    np.savez_compressed(folder / "columns.npz", x=x, y=x[:, 0], x_test=x[:2], y_test=x[:2, 0])
    return folder


def compare(spec: Data, folder: Path, rtol: float = 0, atol: float = 0) -> None:
    held, (train, test, size) = load(spec, folder, SEED), stream(spec, folder, SEED)
    assert size == extent(spec, folder)
    assert (len(train), len(test)) == (size.train, size.test)
    for part, streamed in ((held.train, train), (held.test, test)):
        order = np.random.default_rng(0).permutation(len(streamed))
        found = streamed.read(order)
        np.testing.assert_allclose(found.x, part.x[order], rtol, atol)
        np.testing.assert_array_equal(found.y, part.y[order])


@pytest.mark.parametrize("name", SPECS)
def test_a_stream_gives_what_is_loaded(name: str, files: Path):
    compare(SPECS[name], files)


@pytest.mark.parametrize("name", PREPARED)
def test_a_stream_prepares_as_loading_does(name: str, files: Path, monkeypatch: pytest.MonkeyPatch):
    """Moments are summed in blocks, here of 7 rows: 100 roundings of numbers up to 30."""
    monkeypatch.setattr("ceflow.data.streaming.BLOCK_EXAMPLES", 7)
    spec = Digits(train=100, test=10).model_copy(update=PREPARED[name])
    compare(spec, files, rtol=1e-10, atol=1e-11)


def test_blocks_follow_the_order_and_rows_may_come_again(files: Path):
    train = stream(Idx(path="."), files, SEED).train
    order = np.array([3, 0, 0, 2, 1])
    blocks = list(train.blocks(order, 2))
    assert [len(block.x) for block in blocks] == [2, 2, 1]
    whole = train.read(order)
    np.testing.assert_array_equal(np.concatenate([block.x for block in blocks]), whole.x)
    np.testing.assert_array_equal(np.concatenate([block.y for block in blocks]), whole.y)
    assert list(train.blocks(order[:0], 2)) == []


def test_a_block_is_read_while_another_is_used(files: Path):
    train = stream(Idx(path="."), files, SEED).train
    blocks = train.blocks(np.arange(4), 1)
    next(blocks)
    names = {thread.name for thread in threading.enumerate()}
    assert any(name.startswith("ceflow-data") for name in names)
    blocks.close()
    assert not any(thread.name.startswith("ceflow-data") for thread in threading.enumerate())


@pytest.mark.parametrize("name", ["cifar10", "images", "table", "gaussian"])
def test_a_stream_can_be_of_float32(name: str, files: Path):
    train = stream(SPECS[name], files, SEED, np.float32).train
    found = train.read(np.arange(len(train)))
    assert (found.x.dtype, found.y.dtype) == (np.float32, np.float32)
    # one rounding of the number and one of its quotient by 255
    np.testing.assert_allclose(found.x, load(SPECS[name], files, SEED).train.x, rtol=2e-7)


@pytest.mark.parametrize("packed", [False, True])
def test_memory_does_not_grow_with_the_data(packed: bool, tmp_path: Path):
    """An epoch over 2 and over 8 MB of images takes the same: two blocks, labels and an order."""
    peaks = []
    for count in (2000, 8000):
        for name, array in (
            ("images-idx3", np.ones((count, 32, 32), np.uint8)),
            ("labels-idx1", np.arange(count) % 10),
        ):
            content = idx_bytes(array)
            path = tmp_path / f"train-{name}-ubyte{'.gz' if packed else ''}"
            path.write_bytes(gzip.compress(content, 1) if packed else content)
        spec = Idx(path=".", test=0)
        stream(spec, tmp_path, SEED)  # imports
        tracemalloc.start()
        train = stream(spec, tmp_path, SEED, np.float32).train
        order = np.random.default_rng(0).permutation(len(train))
        assert sum(float(block.x.sum()) for block in train.blocks(order, 50)) > 0
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] - peaks[0] < 6000 * 64  # and not the 6,000 x 1,024 bytes of the images


def test_data_larger_than_the_memory_are_streamed_and_not_loaded(
    files: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ceflow._machine.memory", lambda: 100.0)
    with pytest.raises(SpecError, match="of memory"):
        extent(SPECS["idx"], files)
    with pytest.raises(SpecError, match="of memory"):
        load(SPECS["idx"], files, SEED)
    assert len(stream(SPECS["idx"], files, SEED).train) == 4


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "data_batch_1.bin", "a.npz"])
def test_a_file_that_is_cut_after_its_check_is_told(name: str, files: Path):
    specs: dict[str, Data] = {"t": Idx(path="."), "d": Cifar10(path="."), "a": Npz(path="a.npz")}
    train = stream(specs[name[0]], files, SEED).train
    path = files / name
    path.write_bytes(path.read_bytes()[:30])
    with pytest.raises(SpecError, match="ends early") as caught:
        train.read(np.array([len(train) - 1]))
    assert caught.value.faults[0].code == "CE302"


def test_a_packed_file_that_finds_no_room_is_told(files: Path, monkeypatch: pytest.MonkeyPatch):
    class Full:
        def write(self, block: bytes) -> None:
            raise OSError(28, "No space left on device")

        close = write

    monkeypatch.setattr(tempfile, "TemporaryFile", Full)
    train = stream(SPECS["emnist"], files, SEED).train
    with pytest.raises(SpecError, match="No space left") as caught:
        train.read(np.array([1, 0]))
    assert "TMPDIR" in caught.value.faults[0].help
    load(SPECS["emnist"], files, SEED)  # which unpacks nothing to disk

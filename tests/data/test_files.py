"""What is no file is not read; what is packed is unpacked in whole, and counted; what was read is
read again only when it has changed."""

import gzip
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import idx_bytes

from ceflow.data import extent, load
from ceflow.data.files import unpacked_size
from ceflow.seeding import Seed
from ceflow.spec import Cifar10, Data, Idx, Npz, SpecError

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
USERS: list[tuple[Data, str]] = [
    (Idx(path="."), IMAGES),
    (Idx(path="."), f"{LABELS}.gz"),
    (Idx(path="."), "t10k-labels.idx1-ubyte"),
    (Cifar10(path="."), "data_batch_1.bin"),
    (Cifar10(path="."), "test_batch.bin"),
    (Npz(path="a.npz"), "a.npz"),
]
"""Every source of files, with a file that it reads."""


def listen(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path is at most 108 bytes long
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


NO_FILES: dict[str, Callable[[Path], None]] = {
    "a folder": Path.mkdir,
    "a named pipe": os.mkfifo,
    "a socket": listen,
    "a device": lambda path: path.symlink_to("/dev/zero"),
}


@pytest.mark.parametrize(("spec", "name"), USERS)
@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_file_is_refused_unread(kind: str, spec: Data, name: str, folder: Path):
    for other in folder.glob(f"{name[:11]}*"):
        other.unlink()
    NO_FILES[kind](folder / name)
    with pytest.raises(SpecError) as caught:
        load(spec, folder, Seed(0))
    (fault,) = caught.value.faults
    assert (fault.code, fault.path) == ("CE301", ("data", "path"))
    assert f"{name} cannot be read: it is {kind}" in fault.message


@pytest.mark.parametrize(("spec", "name"), USERS)
def test_a_link_to_a_file_is_one(spec: Data, name: str, folder: Path):
    for path in list(folder.glob(f"{name[:11]}*")):
        moved = folder / f"moved-{path.name}"
        path.rename(moved)
        path.symlink_to(moved)
    assert extent(spec, folder).train


def test_a_folder_of_the_same_name_does_not_hide_a_file(folder: Path):
    """As where an archive of one file was unpacked into a folder of its name."""
    (folder / IMAGES).rename(folder / "train-images.idx3-ubyte")
    (folder / IMAGES).mkdir()
    assert extent(Idx(path="."), folder).train == 4


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "one member": gzip.compress,
    "two members": lambda b: gzip.compress(b[:9]) + gzip.compress(b[9:]),
    "many members, as of bgzip": lambda b: (
        b"".join(gzip.compress(b[at : at + 7]) for at in range(0, len(b), 7)) + gzip.compress(b"")
    ),
    "an empty member first": lambda b: gzip.compress(b"") + gzip.compress(b),
    "zeros behind": lambda b: gzip.compress(b) + bytes(1000),
    "zeros behind two members": lambda b: gzip.compress(b[:5]) + gzip.compress(b[5:]) + bytes(9),
}


@pytest.mark.parametrize("name", [IMAGES, LABELS, "data_batch_1.bin"])
@pytest.mark.parametrize("kind", PACKED)
def test_a_packed_file_is_what_comes_out_of_it(kind: str, name: str, folder: Path):
    spec: Data = Idx(path=".") if "idx" in name else Cifar10(path=".")
    plain = load(spec, folder, Seed(0)).train
    path = folder / name
    packed = PACKED[kind](path.read_bytes())
    path.unlink()
    (folder / (f"{name}.gz" if "idx" in name else name)).write_bytes(packed)
    found = load(spec, folder, Seed(0)).train
    np.testing.assert_array_equal(found.x, plain.x)
    np.testing.assert_array_equal(found.y, plain.y)


DAMAGED: dict[str, Callable[[bytes], bytes]] = {
    "a second member cut": lambda b: gzip.compress(b) + gzip.compress(b"more")[:-3],
    "a member too many": lambda b: gzip.compress(b) + gzip.compress(b"m"),
    "words behind": lambda b: gzip.compress(b) + b"words",
    "a size that is right, of less": lambda b: (
        gzip.compress(b[:-1])[:-4] + len(b).to_bytes(4, "little")
    ),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_packed_file_of_more_or_less_is_refused(kind: str, folder: Path):
    content = (folder / IMAGES).read_bytes()
    (folder / IMAGES).unlink()
    (folder / f"{IMAGES}.gz").write_bytes(DAMAGED[kind](content))
    with pytest.raises(SpecError, match="damaged") as caught:
        extent(Idx(path="."), folder)
    assert caught.value.faults[0].code == "CE302"


def test_no_more_is_unpacked_than_a_header_promises(folder: Path, monkeypatch: pytest.MonkeyPatch):
    read = 0
    whole = gzip.GzipFile.read

    def counted(self: gzip.GzipFile, size: int | None = -1) -> bytes:
        nonlocal read
        found = whole(self, size)
        read += len(found)
        return found

    content = (folder / LABELS).read_bytes() + bytes(5 * 10**6)
    (folder / LABELS).write_bytes(gzip.compress(content))
    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    with pytest.raises(SpecError, match="more than 12 bytes where its header promises 12"):
        extent(Idx(path="."), folder)
    assert read < 100


def test_a_file_is_counted_once_until_it_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "a.gz"
    old = time.time() - 100
    for content, times in ((bytes(10), old), (bytes(12), old + 1)):
        path.write_bytes(gzip.compress(content))
        os.utime(path, (times, times))
        assert [unpacked_size(path, 100) for _ in range(2)] == [len(content)] * 2
    monkeypatch.setattr("ceflow.data.files.blocks", None)
    assert unpacked_size(path, 100) == 12


def test_a_file_just_written_is_counted_again(tmp_path: Path):
    """Its time may not tell that it was written twice."""
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(b"ab" * 5))
    now = time.time()
    os.utime(path, (now, now))
    assert unpacked_size(path, 100) == 10
    path.write_bytes(gzip.compress(b"ab" * 6))  # as long, packed
    os.utime(path, (now, now))
    assert unpacked_size(path, 100) == 12


def test_examples_of_one_class_are_picked_out_in_pieces(tmp_path: Path):
    """Only those chosen stay: of 8 MB of images 4 kB."""
    import tracemalloc

    labels = np.zeros(200_000, np.uint8)
    labels[::2000] = 1
    for part in ("train", "t10k"):
        images = np.zeros((len(labels), 5, 8), np.uint8)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx_bytes(images))
        (tmp_path / f"{part}-labels-idx1-ubyte").write_bytes(idx_bytes(labels))
    spec = Idx(path=".", classes=["1"], test=0)
    load(spec, tmp_path, Seed(0))  # imports
    tracemalloc.start()
    try:
        assert load(spec, tmp_path, Seed(0)).train.x.shape == (100, 40)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 5e6


@pytest.mark.parametrize(
    ("path", "help"),
    [
        ("a.npy", "did you mean {folder}/a.npz?"),
        ("there/b.npz", "there is no folder {folder}/there"),
        ("a.npz/b.npz", "{folder}/a.npz is a file, not a folder"),
        ("empty/b.npz", "{folder}/empty is empty"),
        (
            "weights.h5",
            "{folder} holds a.npz, data_batch_1.bin, empty, t10k-images-idx3-ubyte,"
            " t10k-labels-idx1-ubyte, test_batch.bin, train-images-idx3-ubyte,"
            " train-labels-idx1-ubyte and 1 more",
        ),
    ],
)
def test_a_file_that_is_missing_is_told_what_is_there(
    path: str, help: str, folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("CEFLOW_DATA", raising=False)
    (folder / "empty").mkdir()
    (folder / "z.txt").touch()
    with pytest.raises(SpecError) as caught:
        extent(Npz(path=path), folder)
    assert caught.value.faults[0].help == help.format(folder=folder)


def test_both_folders_are_told_where_data_are_looked_for(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    (folder / "empty").mkdir()
    monkeypatch.setenv("CEFLOW_DATA", str(folder / "empty"))
    with pytest.raises(SpecError) as caught:
        extent(Npz(path="weights.h5"), folder / "none")
    said = caught.value.faults[0].help
    assert said == f"there is no folder {folder}/none; {folder}/empty is empty"
    with pytest.raises(SpecError) as caught:
        extent(Cifar10(), folder / "empty")  # of no path that was chosen
    assert caught.value.faults[0].help.startswith("set [data] path, or CEFLOW_DATA")
    with pytest.raises(SpecError) as caught:
        extent(Cifar10(path="."), folder / "empty")
    assert caught.value.faults[0].help == f"{folder}/empty is empty"

"""Whatever bytes of a file are changed, cut or doubled: it is read, or refused by a sentence."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from small_sources import write_all

from ceflow.data import extent, load
from ceflow.seeding import Seed
from ceflow.spec import (
    Cifar10,
    Cifar100,
    Data,
    DataTable,
    Emnist,
    Idx,
    Imagenet32,
    Npz,
    SpecError,
)

ROUNDS = 150


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """The same with one to three changes: bytes replaced, a piece cut out, doubled, or moved."""
    for _ in range(random.integers(1, 4)):
        one, two = sorted(random.integers(0, len(content) + 1, 2))
        piece = content[one : min(two, one + 8)]
        how = random.integers(5)
        if how == 0:
            content = content[:one] + random.bytes(len(piece)) + content[one + len(piece) :]
        elif how == 1:
            content = content[:one] + bytes([random.choice([0, 1, 127, 255])]) + content[one + 1 :]
        elif how == 2:
            content = content[:one] + content[one + len(piece) :]
        elif how == 3:
            content = content[:one] + piece + content[one:]
        else:
            content = content[:two]
    return content


@pytest.fixture
def folder(
    tmp_path: Path, write_idx: Callable[..., Path], write_cifar: Callable[..., Path]
) -> Path:
    write_idx("train", [0, 1, 2, 1])
    write_idx("t10k", [2, 1], packed=True)
    write_cifar("data_batch_1.bin", [0, 1, 9])
    x, y = np.arange(12, dtype="<f4").reshape(4, 3), np.array([0, 1, 2, 1])
    np.savez(tmp_path / "a.npz", x=x, y=y)
    np.savez_compressed(tmp_path / "b.npz", x=np.asfortranarray(x), y=y.astype(">f8"))
    write_all(tmp_path)
    return tmp_path


FILES: dict[str, Data] = {
    "train-images-idx3-ubyte": Idx(path="."),
    "train-labels-idx1-ubyte": Idx(path=".", targets="raw"),
    "t10k-images-idx3-ubyte.gz": Idx(path=".", train=2),
    "t10k-labels-idx1-ubyte.gz": Idx(path=".", classes=["1", "2"]),
    "data_batch_1.bin": Cifar10(path="."),
    "a.npz": Npz(path="a.npz", targets="one-hot"),
    "b.npz": Npz(path="b.npz", train=2),
    "cifar100/train.bin": Cifar100(path="cifar100"),
    "emnist/emnist-letters-test-labels-idx1-ubyte.gz": Emnist(path="emnist", split="letters"),
    "imagenet32/train_data_batch_2.npz": Imagenet32(path="imagenet32"),
    "animals.csv": DataTable(path="animals.csv", label="kind"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_read_or_refused(name: str, folder: Path):
    spec, path = FILES[name], folder / name
    sound, random = path.read_bytes(), np.random.default_rng(0)
    said: list[str] = []
    for _ in range(ROUNDS):
        path.write_bytes(mutated(sound, random))
        try:
            size = extent(spec, folder)
        except SpecError as error:
            said += [fault.message for fault in error.faults]
        else:  # what is checked can be read
            train = load(spec, folder, Seed(0)).train
            assert (len(train.x), train.x.shape[1], train.y.shape[1]) == (
                size.train,
                size.inputs,
                size.outputs,
            )
    assert len(said) > ROUNDS / 5
    assert all(message and "\n" not in message for message in said)

"""Whatever is wrong with data is a `SpecError` with a code and the key of [data] to blame."""

import gzip
import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from ceflow.data import extent, load
from ceflow.seeding import Seed
from ceflow.spec import Cifar10, Data, Digits, Idx, Npz, SpecError
from ceflow.spec.codes import CODES

IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
IDX, CIFAR, NPZ = Idx(path="."), Cifar10(path="."), Npz(path="a.npz")
X, Y = np.arange(6.0).reshape(3, 2), np.arange(3)


def edit(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(change((folder / name).read_bytes()))


def remove(name: str) -> Callable[[Path], object]:
    return lambda folder: (folder / name).unlink()


def pack(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], object]:
    """The file gzipped under its other name, then damaged."""

    def damage(folder: Path) -> None:
        packed = gzip.compress((folder / name).read_bytes())
        (folder / name).unlink()
        (folder / f"{name}.gz").write_bytes(change(packed))

    return damage


def arrays(**arrays: Any) -> Callable[[Path], object]:
    return lambda folder: np.savez(folder / "a.npz", **arrays)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def members(**members: bytes) -> Callable[[Path], object]:
    """An archive of members written byte for byte."""

    def write(folder: Path) -> None:
        with zipfile.ZipFile(folder / "a.npz", "w") as archive:
            for name, content in members.items():
                archive.writestr(f"{name}.npy", content)

    return write


def break_compressed(folder: Path) -> None:
    """An archive whose directory is sound and whose compressed content is not."""
    path = folder / "a.npz"
    noise = np.random.default_rng(0).standard_normal((100, 10))
    np.savez_compressed(path, x=noise, y=noise)
    content = bytearray(path.read_bytes())
    start = 30 + int.from_bytes(content[26:28], "little") + int.from_bytes(content[28:30], "little")
    content[start] = 0x07  # a kind of block that deflate does not have
    path.write_bytes(content)


def nothing(folder: Path) -> None:
    """The files are sound; the document asks for what they cannot give."""


class Bad(NamedTuple):
    spec: Data
    damage: Callable[[Path], object]
    code: str
    key: str = "path"
    says: str = ""


BAD = {
    "no folder": Bad(Idx(path="nowhere"), nothing, "CE301", says="nowhere"),
    "no images": Bad(IDX, remove(IMAGES), "CE301", says=IMAGES),
    "no labels": Bad(IDX, remove(LABELS), "CE301", says=LABELS),
    "no test part": Bad(IDX, remove("t10k-images-idx3-ubyte"), "CE301", says="t10k-images"),
    "no batches": Bad(CIFAR, remove("data_batch_1.bin"), "CE301", says="data_batch"),
    "no archive": Bad(Npz(path="b.npz"), nothing, "CE301", says="b.npz"),
    "a folder for an archive": Bad(Npz(path="."), nothing, "CE301"),
    "an archive for a folder": Bad(Idx(path="a.npz"), nothing, "CE301"),
    "images cut": Bad(IDX, edit(IMAGES, lambda b: b[:-1]), "CE302", says=IMAGES),
    "images too long": Bad(IDX, edit(IMAGES, lambda b: b + b"\0"), "CE302", says=IMAGES),
    "header cut": Bad(IDX, edit(LABELS, lambda b: b[:6]), "CE302", says="truncated"),
    "empty": Bad(IDX, edit(LABELS, lambda b: b""), "CE302", says="truncated"),
    "packed images cut": Bad(IDX, pack(IMAGES, lambda b: b[:-9]), "CE302", says=IMAGES),
    "packed header cut": Bad(IDX, pack(LABELS, lambda b: b[:8]), "CE302", says=LABELS),
    "packed magic alone": Bad(IDX, pack(LABELS, lambda b: b[:2]), "CE302", says=LABELS),
    "packed content changed": Bad(
        IDX, pack(LABELS, lambda b: b[:-7] + b"\0" + b[-6:]), "CE302", says=LABELS
    ),
    "labels for images": Bad(
        IDX, edit(IMAGES, lambda b: b"\0\0\x08\x01" + b[4:]), "CE302", says="magic"
    ),
    "images of floats": Bad(
        IDX, edit(IMAGES, lambda b: b"\0\0\x0d\x03" + b[4:]), "CE302", says="magic"
    ),
    "a label too few": Bad(
        IDX, edit(LABELS, lambda b: b[:7] + b"\x03" + b[8:-1]), "CE302", says="differ"
    ),
    "batch cut": Bad(CIFAR, edit("data_batch_1.bin", lambda b: b[:-1]), "CE302", says="3073"),
    "batch empty": Bad(CIFAR, edit("test_batch.bin", lambda b: b""), "CE302", says="test_batch"),
    "label of no class": Bad(
        CIFAR, edit("data_batch_1.bin", lambda b: b"\x0a" + b[1:]), "CE302", says="has the label"
    ),
    "not a zip": Bad(NPZ, edit("a.npz", lambda b: b"text"), "CE302", says="a.npz"),
    "archive empty": Bad(NPZ, edit("a.npz", lambda b: b""), "CE302", says="a.npz"),
    "archive cut": Bad(NPZ, edit("a.npz", lambda b: b[: len(b) // 2]), "CE302", says="a.npz"),
    "archive content changed": Bad(NPZ, break_compressed, "CE302", says="a.npz"),
    "member that is no array": Bad(NPZ, members(x=npy(X), y=b"text"), "CE302", says="y"),
    "member with a magic only": Bad(NPZ, members(x=npy(X), y=b"\x93NUMPY"), "CE302", says="a.npz"),
    "member cut": Bad(NPZ, members(x=npy(X)[:-8], y=npy(Y)), "CE302", says="a.npz"),
    "labels cut": Bad(
        Npz(path="a.npz", targets="one-hot"),
        members(x=npy(X), y=npy(Y)[:-3]),
        "CE302",
        says="a.npz",
    ),
    "no x": Bad(NPZ, arrays(y=Y), "CE302", says="'x'"),
    "no y": Bad(NPZ, arrays(x=X), "CE302", says="'y'"),
    "no y_test": Bad(NPZ, arrays(x=X, y=Y, x_test=X), "CE302", says="'y_test'"),
    "rows differ": Bad(NPZ, arrays(x=X, y=Y[:2]), "CE302", says="rows"),
    "test rows differ": Bad(NPZ, arrays(x=X, y=Y, x_test=X, y_test=Y[:1]), "CE302", says="rows"),
    "test columns differ": Bad(
        NPZ, arrays(x=X, y=Y, x_test=X[:, :1], y_test=Y), "CE302", says="x_test"
    ),
    "a number for an array": Bad(NPZ, arrays(x=np.float64(1), y=np.float64(1)), "CE302"),
    "a NaN": Bad(NPZ, arrays(x=X * np.nan, y=Y), "CE302", says="finite"),
    "an infinite target": Bad(NPZ, arrays(x=X, y=Y + np.inf), "CE302"),
    "a whole number that rounds": Bad(
        NPZ,
        arrays(x=np.array([[1], [2**53 + 1], [3]]), y=Y),
        "CE302",
        says="holds a whole number beyond 2^53",
    ),
    "a target that rounds": Bad(
        NPZ, arrays(x=X, y=np.array([1, 2, 2**64 - 1], np.uint64)), "CE302", says="y[2]"
    ),
    "strings": Bad(NPZ, arrays(x=np.array([["a"], ["b"], ["c"]]), y=Y), "CE302", says="x"),
    "complex numbers": Bad(NPZ, arrays(x=X + 1j, y=Y), "CE302", says="x"),
    "records": Bad(
        Npz(path="a.npz", targets="one-hot"),
        arrays(x=X, y=np.zeros(3, [("a", "i4"), ("b", "i4")])),
        "CE302",
    ),
    "labels of floats": Bad(
        Npz(path="a.npz", targets="one-hot"), arrays(x=X, y=Y / 2), "CE302", "targets", "integer"
    ),
    "labels below 0": Bad(
        Npz(path="a.npz", targets="one-hot"), arrays(x=X, y=Y - 1), "CE302", "targets", "below 0"
    ),
    "two labels an example": Bad(
        Npz(path="a.npz", targets="one-hot"), arrays(x=X, y=np.array([Y, Y]).T), "CE302", "targets"
    ),
    "a test label of no class": Bad(
        Npz(path="a.npz", targets="one-hot"),
        arrays(x=X, y=Y, x_test=X, y_test=Y + 1),
        "CE302",
        "targets",
    ),
    "an array of objects": Bad(
        NPZ, arrays(x=X, y=np.array([1, "a", None], dtype=object)), "CE303", says="pickle"
    ),
    "a pickle for an archive": Bad(
        NPZ, edit("a.npz", lambda b: pickle.dumps([1])), "CE303", says="pickle"
    ),
    "a pickle for labels": Bad(
        IDX, edit(LABELS, lambda b: pickle.dumps([1])), "CE303", says="pickle"
    ),
    "a packed pickle": Bad(
        IDX, pack(LABELS, lambda b: gzip.compress(pickle.dumps([1]))), "CE303", says="pickle"
    ),
    "a pickle for a batch": Bad(
        CIFAR, edit("data_batch_1.bin", lambda b: pickle.dumps([1])), "CE303", says="pickle"
    ),
    "too many digits": Bad(Digits(train=1798), nothing, "CE304", "train", "1797"),
    "too many digits left": Bad(Digits(train=1790, test=8), nothing, "CE304", "test", "7"),
    "too many digits of a class": Bad(
        Digits(train=179, classes=("0",)), nothing, "CE304", "train", "178"
    ),
    "too many in idx": Bad(Idx(path=".", train=5), nothing, "CE304", "train", "4"),
    "too many of a class": Bad(
        Idx(path=".", train=3, classes=("1",)), nothing, "CE304", "train", "2"
    ),
    "too many to test": Bad(Cifar10(path=".", test=2), nothing, "CE304", "test", "1"),
    "too many in an archive": Bad(Npz(path="a.npz", train=4), nothing, "CE304", "train", "3"),
    "no such digit": Bad(Digits(classes=("ten",)), nothing, "CE105", "classes", "'ten'"),
    "no such label": Bad(Idx(path=".", classes=("3",)), nothing, "CE105", "classes", "'3'"),
    "no such animal": Bad(Cifar10(path=".", classes=("cow",)), nothing, "CE105", "classes", "cow"),
    "a class twice": Bad(
        Digits(classes=("1", "1"), targets="signed"), nothing, "CE105", "classes", "twice"
    ),
    "signed digits of three classes": Bad(
        Digits(classes=("1", "2", "3"), targets="signed"), nothing, "CE202", "targets", "3"
    ),
    "signed idx of three classes": Bad(
        Idx(path=".", targets="signed"), nothing, "CE202", "targets", "3"
    ),
    "signed archive of three classes": Bad(
        Npz(path="a.npz", targets="signed"), nothing, "CE202", "targets", "3"
    ),
    "signed cifar of ten classes": Bad(
        Cifar10(path=".", targets="signed"), nothing, "CE202", "targets", "10"
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_wrong_with_data_is_said(name: str, folder: Path):
    bad = BAD[name]
    bad.damage(folder)
    with pytest.raises(SpecError) as caught:
        load(bad.spec, folder, Seed(0))
    (fault,) = caught.value.faults
    assert (fault.code, fault.path) == (bad.code, ("data", bad.key))
    assert fault.code in CODES
    assert bad.says in fault.message
    assert "\n" not in fault.message


NEED_ALL_BYTES = {"a NaN", "an infinite target"}
"""What a plan need not find: these take reading every number."""


@pytest.mark.parametrize("name", sorted(BAD.keys() - NEED_ALL_BYTES))
def test_a_plan_finds_it_before_anything_is_loaded(name: str, folder: Path):
    bad = BAD[name]
    bad.damage(folder)
    with pytest.raises(SpecError) as caught:
        extent(bad.spec, folder)
    assert caught.value.faults[0].code == bad.code


class Creates:
    """Unpickling one creates a folder: what an attacker's file would do, made harmless."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[Any, ...]]:
        return Path.mkdir, (self.path,)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize(
    ("spec", "name"),
    [
        (NPZ, "a.npz"),
        (IDX, IMAGES),
        (IDX, LABELS),
        (CIFAR, "data_batch_1.bin"),
        (CIFAR, "test_batch.bin"),
    ],
)
def test_a_pickle_is_never_loaded(spec: Data, name: str, protocol: int, folder: Path):
    trap = folder / "trap"
    content = pickle.dumps(Creates(trap), protocol)
    (folder / name).write_bytes(content)
    with pytest.raises(SpecError):
        load(spec, folder, Seed(0))
    assert not trap.exists()
    pickle.loads(content)
    assert trap.exists()  # so it would have been seen


@pytest.mark.parametrize("protocol", [2, 5])
def test_the_pickled_version_of_cifar_is_refused_by_name(protocol: int, folder: Path):
    (folder / "data_batch_1.bin").unlink()
    (folder / "data_batch_1").write_bytes(pickle.dumps({"data": []}, protocol))
    with pytest.raises(SpecError) as caught:
        load(CIFAR, folder, Seed(0))
    assert caught.value.faults[0].code == "CE303"


@pytest.mark.parametrize("name", ["x", "y", "x_test", "y_test"])
def test_objects_in_an_archive_are_never_loaded(name: str, folder: Path):
    trap = folder / "trap"
    content = np.array([Creates(trap)] * 3, dtype=object)
    sound = {"x": X, "y": Y, "x_test": X, "y_test": Y}
    np.savez(folder / "a.npz", allow_pickle=True, **(sound | {name: content}))
    with pytest.raises(SpecError) as caught:
        load(NPZ, folder, Seed(0))
    assert caught.value.faults[0].code == "CE303"
    assert not trap.exists()


def test_what_else_an_archive_holds_is_left_alone(folder: Path):
    trap = folder / "trap"
    others = {"names": np.array(["a"]), "meta": np.array([Creates(trap)], dtype=object)}
    np.savez(folder / "a.npz", x=X, y=Y, allow_pickle=True, **others)
    np.testing.assert_array_equal(load(NPZ, folder, Seed(0)).train.x, X)
    assert not trap.exists()

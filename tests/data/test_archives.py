"""NumPy archives in every form are read as NumPy reads them, and no further than asked."""

import io
import struct
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ceflow.data import extent, load
from ceflow.seeding import Seed
from ceflow.spec import Npz, SpecError

X, Y = np.arange(24.0).reshape(6, 4), np.arange(6)
RAW = Npz(path="a.npz")


def npy(array: Any, version: tuple[int, int] | None = None) -> bytes:
    content = io.BytesIO()
    np.lib.format.write_array(content, np.asanyarray(array), version)
    return content.getvalue()


def header(text: str, content: bytes = b"", version: int = 1) -> bytes:
    size = struct.pack("<H" if version == 1 else "<I", len(text))
    return b"\x93NUMPY" + bytes([version, 0]) + size + text.encode() + content


def write(folder: Path, packing: int = zipfile.ZIP_STORED, **members: bytes) -> None:
    with zipfile.ZipFile(folder / "a.npz", "w", packing) as archive:
        for name, content in members.items():
            archive.writestr(f"{name}.npy", content)


def labels(folder: Path, y: Any, targets: Any, **arrays: Any) -> np.ndarray:
    np.savez(folder / "a.npz", x=X, y=y, **arrays)
    return load(Npz(path="a.npz", targets=targets), folder, Seed(0)).train.y


WHOLE = [
    "?",
    "i1",
    "u1",
    "<i2",
    ">i2",
    "<u4",
    ">u4",
    ">i8",
    "<u8",
    ">u8",
    "<f2",
    ">f4",
    "<f8",
    ">f8",
]


@pytest.mark.parametrize("shape", [(6,), (6, 1), (6, 1, 1)])
@pytest.mark.parametrize("dtype", WHOLE)
def test_labels_are_whole_numbers_of_any_type_and_shape(dtype: str, shape: Any, tmp_path: Path):
    y = np.array([0, 1, 1, 0, 1, 0]).astype(dtype).reshape(shape)
    np.testing.assert_array_equal(labels(tmp_path, y, "signed")[:, 0], [-1, 1, 1, -1, 1, -1])
    np.testing.assert_array_equal(labels(tmp_path, y, "one-hot").argmax(1), [0, 1, 1, 0, 1, 0])


@pytest.mark.parametrize("pair", [(0, 1), (1, 2), (-1, 1), (-3, 1000), (False, True), (-1.0, 1.0)])
def test_two_labels_of_any_value_are_signed(pair: Any, tmp_path: Path):
    y = np.array([pair[0], pair[1], pair[1], pair[0], pair[0], pair[1]])
    np.testing.assert_array_equal(labels(tmp_path, y, "signed")[:, 0], [-1, 1, 1, -1, -1, 1])


@pytest.mark.parametrize(("largest", "classes"), [(5, 6), (19_999, 20_000)])
def test_classes_are_numbered_from_0_to_the_largest(largest: int, classes: int, tmp_path: Path):
    y = labels(tmp_path, np.array([0, 1, 2, 3, 4, largest]), "one-hot")
    assert (y.shape, y.argmax(1)[-1], y.sum()) == ((6, classes), largest, 6)


def test_targets_take_as_much_memory_as_they_are_large(tmp_path: Path):
    """Not the square of the number of classes, 80 GB here."""
    tracemalloc.start()
    try:
        labels(tmp_path, np.array([0, 1, 2, 3, 4, 99_999]), "one-hot")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10 * (8 * 6 * 100_000)


@pytest.mark.parametrize(
    "y", [[0, 0.5, 1, 1, 1, 1], [0, np.nan, 1, 1, 1, 1], [0, -np.inf, 1, 1, 1, 1]]
)
@pytest.mark.parametrize("targets", ["one-hot", "signed"])
def test_labels_that_are_no_whole_numbers_are_refused(y: Any, targets: Any, tmp_path: Path):
    with pytest.raises(SpecError, match="one integer label per example, not") as caught:
        labels(tmp_path, np.array(y), targets)
    assert caught.value.faults[0].path == ("data", "targets")


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("version", [(1, 0), (2, 0), (3, 0)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["?", "u1", ">i4", "<f2", ">f4", "<f8"])
@pytest.mark.parametrize("count", [2, 6])
def test_the_first_rows_are_as_numpy_has_them(
    packing: int, version: Any, order: Any, dtype: str, count: int, tmp_path: Path
):
    x = (np.arange(6 * 3 * 2 * 2) % 7).reshape(6, 3, 2, 2).astype(dtype, order=order)
    write(tmp_path, packing, x=npy(x, version), y=npy(np.asarray(X, dtype, order=order), version))
    train = load(Npz(path="a.npz", train=count), tmp_path, Seed(0)).train
    with np.load(tmp_path / "a.npz") as arrays:
        np.testing.assert_array_equal(train.x, arrays["x"][:count].reshape(count, -1))
        np.testing.assert_array_equal(train.y, arrays["y"][:count])


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_few_examples_of_many_take_little_memory(packing: int, order: Any, tmp_path: Path):
    """Of 16 MB 40 kB are used; a megabyte is read at a time."""
    x = np.zeros((4000, 500), order=order)
    write(tmp_path, packing, x=npy(x), y=npy(np.zeros(4000)), unused=npy(np.zeros(2_000_000)))
    spec = Npz(path="a.npz", train=10)
    load(spec, tmp_path, Seed(0))  # imports
    tracemalloc.start()
    try:
        assert extent(spec, tmp_path).train == len(load(spec, tmp_path, Seed(0)).train.x)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4e6


@pytest.mark.parametrize(
    "other", [b"text", b"", npy([None, "a"]), npy(["a"]), npy(X)[:-3]], ids=range(5)
)
def test_other_arrays_stay_unread(other: bytes, tmp_path: Path):
    write(tmp_path, x=npy(X), y=npy(Y), other=other)
    np.testing.assert_array_equal(load(RAW, tmp_path, Seed(0)).train.x, X)


def test_other_files_in_an_archive_are_left_alone(tmp_path: Path):
    write(tmp_path, x=npy(X), y=npy(Y))
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        for name in ("below/x.npy", "../x.npy", "/x.npy", "X.npy", "x.npy.npy", "read.me"):
            archive.writestr(name, b"anything")
    np.testing.assert_array_equal(load(RAW, tmp_path, Seed(0)).train.x, X)


SHAPE = "{'descr': '<f8', 'fortran_order': False, 'shape': %s}"

UNSOUND = {
    "a huge shape": (SHAPE % "(10**9, 10**9)", "no sound header"),
    "a huge number": (SHAPE % f"({10**30}, 4)", "not as long"),
    "a size below 0": (SHAPE % "(-6, -4)", "no sound header"),
    "a size that is no number": (SHAPE % "(6, 'a')", "no sound header"),
    "a size that is true": (SHAPE % "(True, 4)", "no sound header"),
    "a list for a shape": (SHAPE % "[6, 4]", "no sound header"),
    "code": (SHAPE % "__import__('os').getcwd()", "no sound header"),
    "depth": (SHAPE % ("(" * 3000 + ")" * 3000), "no sound header"),
    "no type": ("{'fortran_order': False, 'shape': (6, 4)}", "no sound header"),
    "no order": ("{'descr': '<f8', 'shape': (6, 4)}", "no sound header"),
    "a type that is none": ((SHAPE % "(6, 4)").replace("<f8", "<q8"), "something else"),
    "half a type": ((SHAPE % "(6, 4)").replace("<f8", "<"), "no sound header"),
    "numbers of 16 bytes": ((SHAPE % "(6, 4)").replace("<f8", "<f16"), "2, 4 or 8 bytes"),
    "complex numbers": ((SHAPE % "(6, 4)").replace("<f8", "<c16"), "complex"),
    "dates": ((SHAPE % "(6, 4)").replace("<f8", "<M8[ns]"), "dates"),
    "text": ((SHAPE % "(6, 4)").replace("<f8", "<U2"), "text"),
    "records": ((SHAPE % "(6, 4)").replace("'<f8'", "[('a', '<f8')]"), "records"),
    "a header too long": (SHAPE % "(6, 4)" + " " * 20_000, "no sound header"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_a_header_that_is_not_sound_is_refused(name: str, tmp_path: Path):
    text, says = UNSOUND[name]
    write(tmp_path, x=header(text, X.tobytes()), y=npy(Y))
    with pytest.raises(SpecError) as caught:
        extent(RAW, tmp_path)
    (fault,) = caught.value.faults
    assert fault.code == "CE302"
    assert says in fault.message


def test_a_header_that_says_it_is_4_gb_long_is_not_read(tmp_path: Path):
    start = b"\x93NUMPY\x02\x00" + struct.pack("<I", 2**32 - 1)
    write(tmp_path, zipfile.ZIP_DEFLATED, x=start + bytes(10**7), y=npy(Y))
    with pytest.raises(SpecError, match="x has no sound header"):
        extent(RAW, tmp_path)


def cut(folder: Path) -> None:
    write(folder, zipfile.ZIP_DEFLATED, x=npy(X), y=npy(Y))
    content = (folder / "a.npz").read_bytes()
    (folder / "a.npz").write_bytes(content[:-30])


def twice(folder: Path) -> None:
    write(folder, x=npy(X), y=npy(Y))
    with zipfile.ZipFile(folder / "a.npz", "a") as archive:
        archive.writestr("x", npy(X))


def lying(folder: Path) -> None:
    """The directory, and the array's header, say that there is more than there is."""
    write(folder, zipfile.ZIP_DEFLATED, x=npy(X), y=npy(Y))
    content = bytearray((folder / "a.npz").read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", len(npy(X)) + 8 * 4 * 10**6)
    (folder / "a.npz").write_bytes(content)


def longer(folder: Path) -> None:
    """Both headers say a million rows more than the packed content holds."""
    text = header(SHAPE % f"({10**6}, 4)", X.tobytes())
    write(folder, zipfile.ZIP_DEFLATED, x=text, y=npy(np.zeros(10**6)))
    content = bytearray((folder / "a.npz").read_bytes())
    at = content.index(b"PK\x01\x02")
    content[at + 24 : at + 28] = struct.pack("<I", len(text) - X.nbytes + 32 * 10**6)
    (folder / "a.npz").write_bytes(content)


def encrypted(folder: Path) -> None:
    write(folder, x=npy(X), y=npy(Y))
    content = bytearray((folder / "a.npz").read_bytes())
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + at] |= 1
    (folder / "a.npz").write_bytes(content)


def many(folder: Path) -> None:
    """A directory that claims 3 GB."""
    write(folder, x=npy(X), y=npy(Y))
    content = bytearray((folder / "a.npz").read_bytes())
    content[-10:-6] = struct.pack("<I", 3 * 10**9)
    (folder / "a.npz").write_bytes(content)


BROKEN = {
    "cut": (cut, "cut off, damaged"),
    "twice": (twice, "x is there twice"),
    "lying": (lying, "x is not as long as its header says"),
    "longer": (longer, "x ends early"),
    "encrypted": (encrypted, "x is encrypted"),
    "lzma": (
        lambda folder: write(folder, zipfile.ZIP_LZMA, x=npy(X), y=npy(Y)),
        "x is packed in a way",
    ),
    "many": (many, "too many members"),
    "one array": (lambda folder: (folder / "a.npz").write_bytes(npy(X)), "a single array"),
    "nothing": (lambda folder: (folder / "a.npz").write_bytes(b""), "cut off, damaged"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_an_archive_that_is_not_sound_is_refused(name: str, tmp_path: Path):
    damage, says = BROKEN[name]
    damage(tmp_path)
    with pytest.raises(SpecError) as caught:
        extent(RAW, tmp_path)
    (fault,) = caught.value.faults
    assert (fault.code, fault.path) == ("CE302", ("data", "path"))
    assert says in fault.message


def test_a_packed_archive_is_to_be_unpacked(tmp_path: Path):
    import gzip

    write(tmp_path, x=npy(X), y=npy(Y))
    (tmp_path / "a.npz").write_bytes(gzip.compress((tmp_path / "a.npz").read_bytes()))
    with pytest.raises(SpecError, match="it is gzipped"):
        extent(RAW, tmp_path)


def test_what_an_archive_has_instead_is_said(tmp_path: Path):
    np.savez(tmp_path / "a.npz", images=X, labels=Y)
    with pytest.raises(SpecError, match="no array 'x'") as caught:
        extent(RAW, tmp_path)
    assert "it has images, labels" in caught.value.faults[0].help

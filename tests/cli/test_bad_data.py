"""Bad data files: one sentence that says where, exit status 2, and no pickle is ever loaded."""

import gzip
import io
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from refusals import data, refused_text, write

from ceflow.cli import main


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CEFLOW_DATA", raising=False)
    return tmp_path


def idx(array, kind=8):
    array = np.asarray(array, dtype=np.uint8)
    return (
        struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()
    )


def write_idx(**replaced):
    """A sound set of four IDX files in `d/`, but for those replaced."""
    Path("d").mkdir()
    for part in ("train", "t10k"):
        files = {"images": idx(np.zeros((4, 2, 2))), "labels": idx([0, 1, 2, 1])}
        for what, content in files.items():
            number = 3 if what == "images" else 1
            content = replaced.get(f"{part}_{what}", content)
            if content is not None:
                write(f"d/{part}-{what}-idx{number}-ubyte", content)


def write_cifar(content, name="data_batch_1.bin"):
    Path("d").mkdir()
    write(f"d/{name}", content)


def write_npz(**arrays):
    np.savez("d.npz", **arrays)


def record(label=0):
    return bytes([label]) + bytes(3072)


def archive(**members):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for name, member in members.items():
            file.writestr(f"{name}.npy", member)
    return content.getvalue()


def npy(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


X, Y = np.ones((4, 2)), np.ones((4, 1))


def test_the_data_that_are_damaged_below_are_sound_when_they_are_whole():
    write_idx()
    write("idx.toml", data("idx", "d"))
    write("d/data_batch_1.bin", record() * 3)
    write("cifar.toml", data("cifar10", "d"))
    write("d.npz", archive(x=npy(X), y=npy(Y)))
    write("npz.toml", data("npz", "d.npz"))
    result = CliRunner().invoke(main, ["check", "idx.toml", "cifar.toml", "npz.toml"])
    assert result.exit_code == 0, result.output


# How the files are written, the source, its path, the code, what is said.
DATA = {
    "no folder": (lambda: None, "idx", "d", "CE301", "no data at"),
    "no npz": (lambda: None, "npz", "d.npz", "CE301", "no data at"),
    "no batches": (lambda: Path("d").mkdir(), "cifar10", "d", "CE301", "no data_batch_*.bin"),
    "no labels": (lambda: write_idx(train_labels=None), "idx", "d", "CE301", "train-labels"),
    "a folder as npz": (lambda: Path("d").mkdir(), "npz", "d", "CE301", "cannot be read"),
    "a file as a folder": (lambda: write("d", "x"), "idx", "d", "CE301", "no file"),
    "truncated images": (
        lambda: write_idx(train_images=idx(np.zeros((4, 2, 2)))[:-1]),
        "idx",
        "d",
        "CE302",
        "31 bytes where its header promises 32",
    ),
    "truncated header": (
        lambda: write_idx(train_images=idx(np.zeros((4, 2, 2)))[:9]),
        "idx",
        "d",
        "CE302",
        "truncated",
    ),
    "empty images": (lambda: write_idx(train_images=b""), "idx", "d", "CE302", "truncated"),
    "truncated gzip": (
        lambda: write_idx(train_images=gzip.compress(idx(np.zeros((4, 2, 2))))[:-9]),
        "idx",
        "d",
        "CE302",
        "damaged",
    ),
    "labels as images": (
        lambda: write_idx(train_images=idx([1, 2, 3, 4]) + bytes(8)),
        "idx",
        "d",
        "CE302",
        "magic number 0x00000801, not 0x00000803",
    ),
    "images as labels": (
        lambda: write_idx(train_labels=idx(np.zeros((4, 2, 2)))),
        "idx",
        "d",
        "CE302",
        "magic number 0x00000803, not 0x00000801",
    ),
    "floats": (
        lambda: write_idx(train_images=idx(np.zeros((4, 2, 2)), kind=13)),
        "idx",
        "d",
        "CE302",
        "magic number 0x00000d03",
    ),
    "fewer labels": (
        lambda: write_idx(train_labels=idx([0, 1])),
        "idx",
        "d",
        "CE302",
        "differ in their number",
    ),
    "truncated batch": (lambda: write_cifar(record()[:-1]), "cifar10", "d", "CE302", "3072 bytes"),
    "empty batch": (lambda: write_cifar(b""), "cifar10", "d", "CE302", "damaged"),
    "labels of 100 classes": (lambda: write_cifar(record(10)), "cifar10", "d", "CE302", "0 to 9"),
    "truncated npz": (
        lambda: write("d.npz", archive(x=npy(X), y=npy(Y))[:-20]),
        "npz",
        "d.npz",
        "CE302",
        "not a sound .npz",
    ),
    "empty npz": (lambda: write("d.npz", b""), "npz", "d.npz", "CE302", "not a sound .npz"),
    "text as npz": (lambda: write("d.npz", "x,y\n1,2\n"), "npz", "d.npz", "CE302", "not a sound"),
    "npz without y": (lambda: write_npz(x=X), "npz", "d.npz", "CE302", "no array 'y'"),
    "npz of unequal rows": (lambda: write_npz(x=X, y=Y[:3]), "npz", "d.npz", "CE302", "differ"),
    "npz of a number": (lambda: write_npz(x=3, y=3), "npz", "d.npz", "CE302", "no rows"),
    "npz of other files": (
        lambda: write("d.npz", archive(x=b"hello", y=npy(Y))),
        "npz",
        "d.npz",
        "CE302",
        "x is not an array",
    ),
}


@pytest.mark.parametrize("case", DATA)
def test_bad_data_are_refused_at_their_path(case):
    prepare, source, path, code, said = DATA[case]
    prepare()
    head = refused_text(data(source, path)).splitlines()[0]
    assert head.startswith(f"spec.toml:3:8: {code}: ")
    assert said in head


def deflated():
    """An archive whose compressed data are damaged in the middle."""
    content = io.BytesIO()
    np.savez_compressed(content, x=np.random.default_rng(0).random((50, 2)), y=np.ones((50, 1)))
    damaged = bytearray(content.getvalue())
    damaged[100:140] = b"\xff" * 40
    return bytes(damaged)


DAMAGED_NPZ = {
    "damaged in the middle": deflated,
    "an array that ends in its magic number": lambda: archive(x=b"\x93NUMPY", y=npy(Y)),
    "a header that is no table": lambda: archive(
        x=b"\x93NUMPY\x01\x00" + struct.pack("<H", 7) + b"[1, 2]\n", y=npy(Y)
    ),
    "a header without a shape": lambda: archive(
        x=b"\x93NUMPY\x01\x00" + struct.pack("<H", 16) + b"{'descr': '<f8'}", y=npy(Y)
    ),
    "an array shorter than its header says": lambda: archive(x=npy(X)[:-8], y=npy(Y)),
    "words": lambda: archive(x=npy(np.full((4, 2), "a")), y=npy(Y)),
}


@pytest.mark.parametrize("case", DAMAGED_NPZ)
def test_an_archive_that_is_damaged_inside_is_refused(case):
    write("d.npz", DAMAGED_NPZ[case]())
    assert refused_text(data("npz", "d.npz")).startswith("spec.toml:3:8: CE302: ")


def test_more_examples_than_there_are_is_refused_at_the_number():
    write_idx()
    said = refused_text(data("idx", "d", "train = 5\n"))
    assert said.startswith("spec.toml:4:9: CE304: 5 examples asked for, 4 there")


def test_an_unknown_class_is_refused_at_the_classes():
    write_cifar(record())
    said = refused_text(data("cifar10", "d", 'classes = ["deer", "dgo"]\n'))
    assert said.startswith("spec.toml:4:11: CE105: there is no class 'dgo'")


# Pickles
class Trap:
    """Leaves a file behind where it is unpickled."""

    def __reduce__(self):
        return Path.touch, (Path("sprung"),)


def trap(protocol=4):
    return pickle.dumps(Trap(), protocol)


def trapped_array():
    content = io.BytesIO()
    np.save(content, np.array([Trap()] * 4, dtype=object), allow_pickle=True)
    return content.getvalue()


def test_the_trap_springs_where_it_is_loaded():
    pickle.loads(trap())
    assert Path("sprung").exists()
    Path("sprung").unlink()
    np.load(io.BytesIO(trapped_array()), allow_pickle=True)
    assert Path("sprung").exists()


PICKLES = {
    "npz": (lambda content: write("d.npz", content), "npz", "d.npz"),
    "idx images": (lambda content: write_idx(train_images=content), "idx", "d"),
    "idx labels": (lambda content: write_idx(train_labels=content), "idx", "d"),
    "idx test labels": (lambda content: write_idx(t10k_labels=content), "idx", "d"),
    "cifar batch": (write_cifar, "cifar10", "d"),
    "cifar of the python version": (
        lambda content: write_cifar(content, "data_batch_1"),
        "cifar10",
        "d",
    ),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("case", PICKLES)
def test_a_pickle_is_refused_and_never_loaded(case, packed):
    prepare, source, path = PICKLES[case]
    prepare(gzip.compress(trap()) if packed else trap())
    said = refused_text(data(source, path))
    assert said.startswith("spec.toml:3:8: CE303: ")
    assert "never loaded" in said
    assert not Path("sprung").exists()


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("case", ["npz", "idx images", "cifar batch"])
def test_a_pickle_of_any_protocol_is_refused(case, protocol):
    prepare, source, path = PICKLES[case]
    prepare(trap(protocol))
    # The first two protocols have no mark of their own: they are refused as damaged.
    code = "CE303" if protocol >= 2 else "CE302"
    assert refused_text(data(source, path)).startswith(f"spec.toml:3:8: {code}: ")
    assert not Path("sprung").exists()


@pytest.mark.parametrize("name", ["x", "y", "x_test"])
def test_an_array_of_objects_in_an_archive_is_refused_and_never_loaded(name):
    arrays = {"x": npy(X), "y": npy(Y), "x_test": npy(X), "y_test": npy(Y)}
    write("d.npz", archive(**(arrays | {name: trapped_array()})))
    said = refused_text(data("npz", "d.npz"))
    assert said.startswith(f"spec.toml:3:8: CE303: the array {name!r} ")
    assert not Path("sprung").exists()

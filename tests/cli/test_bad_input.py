"""Bad input: one sentence that says where, exit status 2, no traceback, nothing left behind."""

import gzip
import io
import json
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ceflow.cli import main

MODEL = '[model]\ntype = "mlp"\nwidths = [3]\ninputs = 2\noutputs = 1\n'
RUNNABLE = MODEL + '[stages.s]\ntype = "search"\nalpha = 3.0\n'


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CEFLOW_DATA", raising=False)
    return tmp_path


def write(name, content):
    Path(name).write_bytes(content if isinstance(content, bytes) else content.encode())


def refused(name):
    """What `run` says of a spec that it must refuse, having left nothing; `check` must agree."""
    before = sorted(Path().rglob("*"))
    checked = CliRunner().invoke(main, ["check", name])
    ran = CliRunner().invoke(main, ["run", name, "--out", "out"])
    planned = CliRunner().invoke(main, ["plan", name])
    for result in (checked, ran, planned):
        assert isinstance(result.exception, SystemExit), result.exception
        assert result.exit_code == 2, result.output
        assert result.stdout == ""
        assert "Traceback" not in result.stderr
        assert result.stderr == ran.stderr
    assert sorted(Path().rglob("*")) == before
    return ran.stderr


def refused_text(text, name="spec.toml"):
    write(name, text)
    return refused(name)


def test_what_is_refused_below_runs_when_it_is_right():
    write("spec.toml", RUNNABLE)
    result = CliRunner().invoke(main, ["run", "spec.toml", "--out", "out"])
    assert result.exit_code == 0, result.output
    assert Path("out/results.json").is_file()


# Text, place, code, what is said. Positions count from 1, columns in characters.
TEXTS = {
    "unknown key": ("sed = 1\n" + RUNNABLE, "1:1", "CE101", "unknown key 'sed'"),
    "unknown key far down": (RUNNABLE + "alhpa = 1.0\n", "9:1", "CE101", "unknown key 'alhpa'"),
    "wrong type": ('seed = "one"\n' + RUNNABLE, "1:8", "CE103", "seed must be a whole number"),
    "zero width": (RUNNABLE.replace("3]", "0]"), "3:11", "CE104", "widths[0] must be a whole"),
    "negative width": (RUNNABLE.replace("3]", "4, -2]"), "3:14", "CE104", "not -2"),
    "unknown activation": (
        RUNNABLE.replace("inputs", 'activation = "rleu"\ninputs'),
        "4:14",
        "CE105",
        "unknown activation 'rleu'",
    ),
    "later version": ("ceflow = 2\n" + RUNNABLE, "1:10", "CE003", "language version 2"),
    "empty": ("", "1:1", "CE102", "the key 'model' is missing"),
    "blank": ("\n  \n", "1:1", "CE102", "the key 'model' is missing"),
    "nested arrays": ("seed = " + "[" * 10**5 + "]" * 10**5, "1:1", "CE002", "nested too deeply"),
    "key twice": ("seed = 1\nseed = 2\n" + RUNNABLE, "2:9", "CE002", "overwrite a value"),
    "table twice": (RUNNABLE + "[model]\n", "9:7", "CE002", "not valid TOML"),
    "windows lines": (
        RUNNABLE.replace("[3]", "[\n3,\n 0]").replace("\n", "\r\n"),
        "5:2",
        "CE104",
        "not 0",
    ),
    "after é": ('model = {type = "é"}\n', "1:17", "CE105", "unknown type 'é'"),
    "after é on the line": (
        'stages = {"é" = {type = "search"}, a = 3}\n' + MODEL,
        "1:40",
        "CE103",
        "a must be a table",
    ),
    "byte order mark": ("\ufeffsed = 1\n" + RUNNABLE, "1:1", "CE101", "unknown key 'sed'"),
    "inline table": ('model = {type = "mlp", widths = [0]}\n', "1:34", "CE104", "not 0"),
    "dotted key": ('model.type = "mlp"\nmodel.widths = [0]\n', "2:17", "CE104", "not 0"),
    "quoted key": ('"model"."type" = "mlp"\n"model".\'widths\' = [0]\n', "2:21", "CE104", "not 0"),
    "multi-line string": ('name = """\na\nb"""\n' + RUNNABLE, "1:8", "CE104", "name must be"),
    "after a multi-line string": (
        "name = '''\na'''\nsed = 1\n" + RUNNABLE,
        "3:1",
        "CE101",
        "unknown key 'sed'",
    ),
    "multi-line array": (
        RUNNABLE.replace("[3]", "[ # two\n  3,\n  # no\n  -1,\n]"),
        "6:3",
        "CE104",
        "widths[1] must be",
    ),
    "array of tables": (MODEL + '[[stages.s]]\ntype = "search"\n', "6:10", "CE103", "a table"),
    "array of tables, unknown": (RUNNABLE + "[[rows]]\na = 1\n", "9:3", "CE101", "key 'rows'"),
    "two alphas": (
        MODEL + '[stages.v]\ntype = "variance"\n[stages.s]\ntype = "search"\nvariance = "v"\n'
        "alpha = 2.0\n",
        "11:1",
        "CE202",
        "exclude each other",
    ),
    "no such stage": (
        RUNNABLE.replace("alpha = 3.0", 'variance = "v"'),
        "8:12",
        "CE201",
        "'v' is not a variance stage",
    ),
    "inputs unknown": ('[model]\ntype = "mlp"\nwidths = [3]\n', "1:2", "CE204", "not known"),
    "inputs of the data": (
        RUNNABLE + '[data]\nsource = "gaussian"\ninputs = 5\n',
        "4:10",
        "CE204",
        "the model has 2 inputs, the data have 5",
    ),
}


@pytest.mark.parametrize("case", TEXTS)
def test_a_wrong_document_is_refused_at_its_place(case):
    text, place, code, said = TEXTS[case]
    lines = refused_text(text).splitlines()
    (head,) = [line for line in lines if line.startswith(f"spec.toml:{place}: ")]
    assert head.startswith(f"spec.toml:{place}: {code}: ")
    assert said in head


JSONS = {
    "unknown key": ('{\n "sed": 1,\n "model": {"type": "mlp", "widths": [3]}}', "2:2", "CE101"),
    "wrong type": ('{"seed": "é", "model": {"type": "mlp", "widths": [3]}}', "1:10", "CE103"),
    "after é": ('{"model": {"type": "é"}}', "1:20", "CE105"),
    "zero width": ('{"model": {"type": "mlp",\r\n "widths": [3, 0]}}', "2:16", "CE104"),
    "empty": ("", "1:1", "CE002"),
    "nested arrays": ('{"seed": ' + "[" * 10**5, "1:1", "CE002"),
    "later version": ('{"ceflow": 3}', "1:12", "CE003"),
    "not an object": ("[]", "1:1", "CE002"),
}


@pytest.mark.parametrize("case", JSONS)
def test_a_wrong_document_in_json_is_refused_at_its_place(case):
    text, place, code = JSONS[case]
    assert refused_text(text, "spec.json").startswith(f"spec.json:{place}: {code}: ")


def test_a_key_that_stands_twice_in_json_is_refused():
    said = refused_text('{"seed": 1, "seed": 2}', "spec.json")
    assert "CE002" in said
    assert 'the key "seed" stands twice' in said


def test_a_byte_order_mark_is_accepted():
    write("spec.toml", b"\xef\xbb\xbf" + RUNNABLE.encode())
    assert CliRunner().invoke(main, ["check", "spec.toml"]).exit_code == 0


UNREADABLE = {
    "binary": (b"\x89PNG\r\n\x1a\n\x00\x00", "is not UTF-8"),
    "latin-1": (b'name = "\xe9"', "is not UTF-8 (byte 8)"),
    "utf-16": ("seed = 1".encode("utf-16"), "is not UTF-8"),
    "nul": (b"seed = \0", "holds a NUL byte"),
    "a pickle": (pickle.dumps({"seed": 1}), "is not UTF-8"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_what_is_no_text_is_refused(case):
    content, said = UNREADABLE[case]
    message = refused_text(content)
    assert message.startswith("CE001: spec.toml ")
    assert said in message
    assert message.count("\n") == 1


def test_a_missing_spec_is_refused():
    assert refused("nowhere.toml") == (
        "CE001: nowhere.toml cannot be read: no such file or directory\n"
    )


def test_a_directory_is_no_spec():
    Path("folder").mkdir()
    assert refused("folder") == "CE001: folder cannot be read: is a directory\n"


def test_a_path_that_no_system_accepts_is_refused():
    assert "CE001" in refused("x" * 5000)


def test_a_data_path_that_no_system_accepts_is_refused():
    assert "CE301" in refused_text(data("npz", "a" * 5000))


def test_a_path_that_cannot_be_encoded_is_refused():
    tree = {"data": {"source": "npz", "path": "\ud800"}, "model": {"type": "mlp", "widths": [1]}}
    assert "CE301" in refused_text(json.dumps(tree), "spec.json")


# Memory
HUGE = {
    "points of a circle": (
        '[data]\nsource = "circle"\npoints = 10_000_000\n',
        'type = "kernel"',
        "data.points",
    ),
    "examples": (
        '[data]\nsource = "gaussian"\ninputs = 2\ntrain = 10_000_000\n',
        'type = "kernel"',
        "data.train",
    ),
    "weights": (
        '[data]\nsource = "gaussian"\ninputs = 2\ntrain = 1\n',
        'type = "kernel"\nmethod = "empirical"\noutputs = "full"',
        "model.widths",
    ),
    "weights drawn many times": ("", 'type = "variance"\nmethod = "monte-carlo"', "model.widths"),
}


@pytest.mark.parametrize("case", HUGE)
def test_what_would_not_fit_in_memory_is_refused(case):
    source, stage, key = HUGE[case]
    widths = "[10_000_000, 10_000_000]" if "weights" in case else "[3]"
    text = MODEL.replace("[3]", widths) + "[stages.k]\n" + stage + "\n" + source
    head, *rest = refused_text(text).splitlines()
    assert head.startswith("spec.toml:6:9: CE401: stage 'k' would need ")
    # 10^7 squared is 10^14 numbers of 8 bytes, at least 800 TB.
    need = head.split("would need ")[1].split(" GB of memory")[0]
    assert float(need.replace(",", "")) > 800_000
    assert "this machine has" in head
    tiled = ", or set tile = 1024, to keep the kernel on disk" if key.startswith("data") else ""
    assert rest[-1] == f"      = lower {key}{tiled}"


# Data
def data(source, path, more=""):
    return (
        f'[data]\nsource = "{source}"\npath = "{path}"\n{more}[model]\ntype = "mlp"\nwidths = [3]\n'
    )


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
    "labels of 100 classes": (lambda: write_cifar(record(10)), "cifar10", "d", "CE302", "above 9"),
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


@pytest.mark.parametrize("name", ["x", "y", "x_test", "other"])
def test_an_array_of_objects_in_an_archive_is_refused_and_never_loaded(name):
    arrays = {"x": npy(X), "y": npy(Y), "x_test": npy(X), "y_test": npy(Y)}
    write("d.npz", archive(**(arrays | {name: trapped_array()})))
    said = refused_text(data("npz", "d.npz"))
    assert said.startswith(f"spec.toml:3:8: CE303: the array {name!r} ")
    assert not Path("sprung").exists()

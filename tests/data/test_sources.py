"""Every source: what it counts is what it loads, and what it loads is what stands in the file."""

import gzip
import json
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_sources import write_all

from ceflow.data import READERS, Dataset, Extent, anchored, extent, load
from ceflow.data import digits as digits_source
from ceflow.seeding import Seed
from ceflow.spec import (
    Cifar10,
    Cifar100,
    Circle,
    Data,
    DataTable,
    DeepGp,
    Digits,
    Emnist,
    Gaussian,
    Idx,
    ImageFiles,
    Imagenet32,
    Imagenet64,
    Npz,
)

SEED = Seed(0)
TRAIN_LABELS = [3, 0, 1, 3, 2, 1, 0, 3]
TEST_LABELS = [1, 3, 3, 0]

SPECS: dict[str, Data] = {
    "digits": Digits(),
    "digits, some": Digits(train=50, test=20, targets="raw"),
    "digits, two": Digits(classes=("8", "3"), targets="signed"),
    "digits, prepared": Digits(train=50, test=20, flips=True, zca=0.1),
    "idx": Idx(path="."),
    "idx, two": Idx(path=".", classes=("3", "1"), targets="signed", train=3, test=2),
    "idx, raw": Idx(path=".", targets="raw", test=0),
    "idx, prepared": Idx(path=".", classes=("3", "1"), test=0, flips=True, zca=0.1),
    "cifar10": Cifar10(path="."),
    "cifar10, two": Cifar10(path=".", classes=("cat", "bird"), targets="signed", train=3, test=1),
    "cifar10, prepared": Cifar10(path=".", flips=True, normalise="contrast", zca=0.1),
    "cifar100": Cifar100(path="cifar100", labels="coarse"),
    "emnist": Emnist(path="emnist", split="letters"),
    "imagenet32": Imagenet32(path="imagenet32"),
    "imagenet64": Imagenet64(path="imagenet64", classes=("8", "7"), targets="raw"),
    "images": ImageFiles(path="photos", size=5, channels=1),
    "images, two": ImageFiles(path="photos", size=5, classes=("dog",), corrupt="skip", train=1),
    "images, prepared": ImageFiles(path="photos/train", size=2, fit="stretch", flips=True, zca=0.1),
    "table": DataTable(path="animals.csv", label="kind"),
    "table, some": DataTable(path="animals.csv", label="kind", classes=("dog", "cat"), train=3),
    "table, raw": DataTable(path="animals.csv", label="weight", columns=("height",), targets="raw"),
    "table, two": DataTable(path="animals.csv", label="kind", test_path="more.csv"),
    "npz": Npz(path="arrays.npz"),
    "npz, some": Npz(path="arrays.npz", train=2, test=1),
    "npz, labels": Npz(path="labels.npz", targets="one-hot"),
    "npz, signed": Npz(path="signed.npz", targets="signed"),
    "npz, no test": Npz(path="signed.npz", test=0),
    "gaussian": Gaussian(inputs=3, outputs=2, train=5, test=4),
    "deep-gp": DeepGp(inputs=3, outputs=2, train=5, test=4),
    "deep-gp, no test": DeepGp(inputs=3, train=5, test=0, layers=3, hidden=2, length=1.0),
    "circle": Circle(points=7, outputs=2),
}


@pytest.fixture
def folder(
    tmp_path: Path, write_idx: Callable[..., Path], write_cifar: Callable[..., Path]
) -> Path:
    """A folder with every kind of file the specs above name."""
    write_idx("train", TRAIN_LABELS)
    write_idx("t10k", TEST_LABELS)
    write_cifar("data_batch_1.bin", TRAIN_LABELS)
    write_cifar("data_batch_2.bin", TRAIN_LABELS[:3])
    write_cifar("test_batch.bin", TEST_LABELS)
    x, y = np.arange(24.0).reshape(4, 2, 3), np.arange(8.0).reshape(4, 2)
    np.savez(tmp_path / "arrays.npz", x=x, y=y, x_test=-x[:3], y_test=-y[:3])
    labels = np.array([2, 0, 1, 2])
    np.savez(tmp_path / "labels.npz", x=x, y=labels, x_test=x[:2], y_test=labels[:2])
    np.savez_compressed(tmp_path / "signed.npz", x=x[:, 0], y=np.array([0, 1, 1, 0], np.uint8))
    write_all(tmp_path)
    return tmp_path


def measured(dataset: Dataset) -> Extent:
    (train, inputs), (test, test_inputs) = dataset.train.x.shape, dataset.test.x.shape
    (targets, outputs), (test_targets, test_outputs) = dataset.train.y.shape, dataset.test.y.shape
    assert (inputs, outputs, train, test) == (test_inputs, test_outputs, targets, test_targets)
    return Extent(inputs, outputs, train, test)


def counted(given: Extent) -> Extent:
    """Without the shape of an image, which rows do not tell."""
    return replace(given, image=None)


IMAGES = {
    "digits": (1, 8, 8),
    "idx": (1, 2, 3),
    "emnist": (1, 3, 2),
    "cifar10": (3, 32, 32),
    "imagenet64": (3, 64, 64),
    "images": (1, 5, 5),
    "npz": None,
    "table": None,
}


@pytest.mark.parametrize("name", IMAGES)
def test_the_shape_of_images_is_known(name: str, folder: Path):
    given = extent(SPECS[name], folder)
    assert given.image == IMAGES[name]
    assert given.image is None or np.prod(given.image) == given.inputs


def test_arrays_of_four_axes_are_images(tmp_path: Path):
    x = np.arange(120.0).reshape(5, 2, 3, 4)
    np.savez(tmp_path / "a.npz", x=x, y=np.zeros((5, 1)))
    given = extent(Npz(path="a.npz"), tmp_path)
    assert (given.image, given.inputs) == ((2, 3, 4), 24)
    rows = load(Npz(path="a.npz"), tmp_path, SEED).train.x
    np.testing.assert_array_equal(rows.reshape(5, 2, 3, 4), x)


def test_every_source_is_in_the_table():
    assert {type(spec) for spec in SPECS.values()} == set(READERS)


@pytest.mark.parametrize("name", SPECS)
def test_extent_is_what_load_gives(name: str, folder: Path):
    assert measured(load(SPECS[name], folder, SEED)) == counted(extent(SPECS[name], folder))


@pytest.mark.parametrize("name", SPECS)
def test_arrays_are_float64(name: str, folder: Path):
    dataset = load(SPECS[name], folder, SEED)
    for part in (dataset.train, dataset.test):
        assert (part.x.dtype, part.y.dtype) == (np.float64, np.float64)


def test_extent_needs_no_numpy(folder: Path):
    specs = [[type(spec).__name__, spec.model_dump_json()] for spec in SPECS.values()]
    code = """if True:
        import json, sys
        from dataclasses import astuple
        from pathlib import Path
        sys.modules["numpy"] = sys.modules["jax"] = None   # importing either is now an error
        from ceflow import data, spec
        folder, specs = json.load(sys.stdin)
        read = [getattr(spec, kind).model_validate_json(text) for kind, text in specs]
        print(json.dumps([astuple(data.extent(one, Path(folder))) for one in read]))
    """
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps([str(folder), specs]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    here = [extent(spec, folder) for spec in SPECS.values()]
    # JSON has lists for tuples
    read = json.loads(done.stdout)
    there = [Extent(a, b, c, d, image and tuple(image), e) for a, b, c, d, image, e in read]
    assert there == here


@pytest.mark.parametrize("name", SPECS)
def test_equal_seeds_give_equal_data(name: str, folder: Path):
    one, two = (load(SPECS[name], folder, Seed(5)) for _ in range(2))
    for a, b in ((one.train, two.train), (one.test, two.test)):
        np.testing.assert_array_equal(a.x, b.x)
        np.testing.assert_array_equal(a.y, b.y)


@pytest.mark.parametrize("name", ["digits", "table", "gaussian"])
def test_another_seed_gives_other_inputs(name: str, folder: Path):
    one, two = (load(SPECS[name], folder, Seed(root)) for root in (0, 1))
    assert not np.array_equal(one.train.x, two.train.x)


@pytest.mark.parametrize("name", ["idx", "cifar10", "images", "npz", "table, two"])
def test_files_keep_their_order_whatever_the_seed(name: str, folder: Path):
    one, two = (load(SPECS[name], folder, Seed(root)) for root in (0, 1))
    np.testing.assert_array_equal(one.train.x, two.train.x)


# targets and classes


def test_one_hot_targets_follow_the_files_labels(folder: Path):
    dataset = load(Idx(path="."), folder, SEED)
    assert dataset.train.y.argmax(axis=1).tolist() == TRAIN_LABELS
    np.testing.assert_array_equal(dataset.train.y.sum(axis=1), 1)
    assert set(np.unique(dataset.train.y)) == {0.0, 1.0}


@pytest.mark.parametrize(
    ("targets", "expected"), [("raw", [[0], [1], [0], [1], [0]]), ("signed", [[-1], [1]] * 2)]
)
def test_class_zero_is_the_first_named(targets: Any, expected: list[list[int]], folder: Path):
    # TRAIN_LABELS without all but 3 and 1: 3 1 3 1 3
    count = len(expected)
    spec = Idx(path=".", classes=("3", "1"), targets=targets, train=count)
    np.testing.assert_array_equal(load(spec, folder, SEED).train.y, expected)


def test_raw_targets_of_labelled_files_are_the_labels(folder: Path):
    dataset = load(Idx(path=".", targets="raw"), folder, SEED)
    assert dataset.test.y.tolist() == [[label] for label in TEST_LABELS]


def test_chosen_classes_are_counted_over_both_parts(folder: Path):
    assert extent(Cifar10(path=".", classes=("cat",)), folder) == Extent(3072, 1, 4, 2, (3, 32, 32))


def test_targets_of_an_archive_are_taken_as_they_are(folder: Path):
    dataset = load(Npz(path="arrays.npz"), folder, SEED)
    np.testing.assert_array_equal(dataset.train.y, np.arange(8.0).reshape(4, 2))
    np.testing.assert_array_equal(dataset.test.x, -np.arange(18.0).reshape(3, 6))


def test_labels_of_an_archive_become_one_hot(folder: Path):
    train = load(Npz(path="labels.npz", targets="one-hot"), folder, SEED).train
    assert train.y.argmax(axis=1).tolist() == [2, 0, 1, 2]


@pytest.mark.parametrize("dtype", ["i1", "u1", "<i2", "<u4", "<i8"])
def test_labels_may_be_of_any_integer_type(dtype: str, tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.eye(3), y=np.array([1, 0, 2], dtype))
    spec = Npz(path="a.npz", targets="one-hot")
    assert load(spec, tmp_path, SEED).train.y.argmax(axis=1).tolist() == [1, 0, 2]


# inputs


def test_idx_pixels_are_the_files_bytes_over_255(folder: Path):
    content = (folder / "train-images-idx3-ubyte").read_bytes()[16:]
    expected = [[byte / 255 for byte in content[6 * row : 6 * row + 6]] for row in range(8)]
    np.testing.assert_array_equal(load(Idx(path="."), folder, SEED).train.x, expected)


def test_cifar_batches_follow_each_other(folder: Path):
    files = [folder / f"data_batch_{number}.bin" for number in (1, 2)]
    content = b"".join(file.read_bytes() for file in files)
    records = [content[start : start + 3073] for start in range(0, len(content), 3073)]
    train = load(Cifar10(path="."), folder, SEED).train
    assert len(records) == 11
    assert train.y.argmax(axis=1).tolist() == [record[0] for record in records]
    np.testing.assert_array_equal(train.x, [[b / 255 for b in record[1:]] for record in records])


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("separator", ["-", "."])
def test_idx_files_go_by_every_name_and_packing(
    separator: str, packed: bool, write_idx: Callable[..., Path]
):
    for part, labels in (("train", TRAIN_LABELS), ("t10k", TEST_LABELS)):
        folder = write_idx(part, labels, separator=separator, packed=packed)
    dataset = load(Idx(path="."), folder, SEED)
    assert dataset.test.y.argmax(axis=1).tolist() == TEST_LABELS
    images = np.random.default_rng(len(TEST_LABELS)).integers(0, 256, (len(TEST_LABELS), 6))
    np.testing.assert_array_equal(dataset.test.x, images / 255)


@pytest.mark.parametrize("name", ["digits", "digits, two", "idx", "cifar10"])
def test_pixels_lie_between_zero_and_one(name: str, folder: Path):
    x = load(SPECS[name], folder, SEED).train.x
    assert (x.min(), x.max()) == (0, 1) or (0 <= x.min() < 0.1 and 0.9 < x.max() <= 1)


def test_unit_inputs_have_norm_one_and_zero_stays_zero(tmp_path: Path):
    x = np.array([[3.0, 4.0], [0.0, 0.0], [1e-9, 0.0]])
    np.savez(tmp_path / "a.npz", x=x, y=np.zeros(3))
    unit = load(Npz(path="a.npz", normalise="unit"), tmp_path, SEED).train.x
    # 3/5 and 4/5 are rounded once: half a unit in the last place
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [1, 0]], rtol=2e-16)


def test_standard_uses_the_training_part_for_both(folder: Path):
    spec = Digits(train=300, test=50, normalise="standard")
    raw = load(Digits(train=300, test=50), folder, SEED)
    dataset = load(spec, folder, SEED)
    deviation = raw.train.x.std(axis=0)
    varying = deviation > 0
    # a mean of 300 numbers of order 1: 300 roundings of 1e-16
    np.testing.assert_allclose(dataset.train.x.mean(axis=0), 0, atol=1e-13)
    np.testing.assert_allclose(dataset.train.x[:, varying].std(axis=0), 1, rtol=1e-13)
    back = dataset.test.x * np.where(varying, deviation, 1) + raw.train.x.mean(axis=0)
    np.testing.assert_allclose(back, raw.test.x, atol=1e-14)


@pytest.mark.parametrize("normalise", ["none", "unit", "contrast", "standard"])
def test_scale_is_a_factor_after_normalising(normalise: Any):
    plain, scaled = (
        load(Digits(train=50, test=5, normalise=normalise, scale=scale), Path(), SEED)
        for scale in (1.0, 0.25)
    )
    np.testing.assert_array_equal(scaled.train.x, plain.train.x / 4)  # a power of two: exact
    np.testing.assert_array_equal(scaled.test.x, plain.test.x / 4)
    np.testing.assert_array_equal(scaled.train.y, plain.train.y)


# amounts


def test_digits_are_counted_as_scikit_learn_has_them():
    from sklearn.datasets import load_digits

    _, labels = load_digits(return_X_y=True)
    assert Counter(labels.tolist()) == dict(enumerate(digits_source.CLASS_COUNTS))


def test_digits_split_in_four_fifths_and_the_rest():
    assert extent(Digits(), Path()) == Extent(64, 10, 1437, 360, (1, 8, 8))


def test_training_and_test_digits_are_different_examples():
    from sklearn.datasets import load_digits

    dataset = load(Digits(), Path(), SEED)
    both = np.concatenate([dataset.train.x, dataset.test.x])
    pixels, _ = load_digits(return_X_y=True)
    assert Counter(map(bytes, both * 16)) == Counter(map(bytes, pixels))


def test_fewer_examples_are_the_first_of_more(folder: Path):
    few, more = load(Idx(path=".", train=3), folder, SEED), load(Idx(path="."), folder, SEED)
    np.testing.assert_array_equal(few.train.x, more.train.x[:3])


def test_a_source_need_not_have_a_test_part(tmp_path: Path):
    np.savez(tmp_path / "a.npz", x=np.eye(2), y=np.eye(2))
    assert extent(Npz(path="a.npz"), tmp_path) == Extent(2, 2, 2, 0)
    assert load(Npz(path="a.npz"), tmp_path, SEED).test.x.shape == (0, 2)


def test_cifar_need_not_have_a_test_batch(write_cifar: Callable[..., Path]):
    folder = write_cifar("data_batch_1.bin", TRAIN_LABELS)
    spec = Cifar10(path=".")
    given = extent(spec, folder)
    assert measured(load(spec, folder, SEED)) == counted(given) == Extent(3072, 10, 8, 0)


def test_a_class_may_be_absent_from_the_test_part(write_idx: Callable[..., Path]):
    write_idx("train", TRAIN_LABELS)
    folder = write_idx("t10k", [0, 0, 1])
    spec = Idx(path=".", classes=("3", "2"))
    given = extent(spec, folder)
    assert measured(load(spec, folder, SEED)) == counted(given) == Extent(6, 2, 4, 0)


# generated data


def test_gaussian_inputs_have_mean_zero_and_variance_one():
    x = load(Gaussian(inputs=50, train=2000), Path(), SEED).train.x
    # 10^5 normals: the mean is N(0, 1/10^5), the mean square has variance 2/10^5;
    # five standard errors twice: an error rate below 1.2e-6, with this seed for ever the same
    assert abs(x.mean()) < 5 / 10**2.5
    assert abs((x**2).mean() - 1) < 5 * 2**0.5 / 10**2.5


def test_gaussian_training_and_test_examples_differ():
    dataset = load(Gaussian(inputs=3, train=4, test=4), Path(), SEED)
    assert not np.isin(dataset.train.x, dataset.test.x).any()


def test_circle_has_equal_steps_of_the_angle():
    x = load(Circle(points=5, scale=2.0), Path(), SEED).train.x
    expected = [[-2, 0], [0, -2], [2, 0], [0, 2], [-2, 0]]
    np.testing.assert_allclose(x, expected, atol=1e-15)  # sin(pi) of the rounded pi is 1.2e-16


# where files are looked for


def test_files_are_found_below_ceflow_data(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("CEFLOW_DATA", str(folder.parent))
    spec = Idx(path=folder.name)
    assert extent(spec, Path("elsewhere")).train == len(TRAIN_LABELS)


def test_the_documents_folder_comes_before_ceflow_data(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    other = tmp_path / "other"
    other.mkdir()
    np.savez(other / "arrays.npz", x=np.eye(9), y=np.eye(9))
    monkeypatch.setenv("CEFLOW_DATA", str(other))
    assert extent(Npz(path="arrays.npz"), folder).train == 4


def test_an_anchored_path_is_absolute(folder: Path):
    spec = anchored(Npz(path="arrays.npz"), folder)
    assert extent(spec, Path("/nowhere")) == extent(Npz(path="arrays.npz"), folder)
    both = SPECS["table, two"]
    assert extent(anchored(both, folder), Path("/nowhere")) == extent(both, folder)


# the real data, against their bytes


def test_mnist_is_what_its_bytes_say(data_folder: Path):
    root = data_folder / "mnist"
    with gzip.open(root / "train-labels-idx1-ubyte.gz") as file:
        _, count = struct.unpack(">II", file.read(8))
        labels = file.read()
    with gzip.open(root / "train-images-idx3-ubyte.gz") as file:
        assert struct.unpack(">IIII", file.read(16)) == (0x0803, count, 28, 28)
        first = file.read(784)
    dataset = load(Idx(train=1000, test=10), data_folder, SEED)
    assert extent(Idx(), data_folder).train == count
    expected = [labels[:1000].count(digit) for digit in range(10)]
    assert dataset.train.y.sum(axis=0).tolist() == expected
    assert (255 * dataset.train.x[0]).round().tolist() == list(first)


def test_two_mnist_classes_are_the_first_of_their_labels(data_folder: Path):
    with gzip.open(data_folder / "mnist" / "t10k-labels-idx1-ubyte.gz") as file:
        labels = file.read()[8:]
    kept = [label for label in labels if label in (4, 9)]
    spec = Idx(classes=("9", "4"), targets="signed", train=1)
    y = load(spec, data_folder, SEED).test.y
    assert y.tolist() == [[1.0] if label == 4 else [-1.0] for label in kept]


def test_cifar_is_what_its_bytes_say(data_folder: Path):
    root = data_folder / "cifar-10-batches-bin"
    batches = [(root / f"data_batch_{number}.bin").read_bytes() for number in range(1, 6)]
    labels = b"".join(batch[::3073] for batch in batches)
    asked = len(batches[0]) // 3073 + 10  # reaches into the second batch
    train = load(Cifar10(train=asked, test=0), data_folder, SEED).train
    assert extent(Cifar10(), data_folder).train == len(labels)
    expected = [labels[:asked].count(number) for number in range(10)]
    assert train.y.sum(axis=0).tolist() == expected
    assert (255 * train.x[-1]).round().tolist() == list(batches[1][9 * 3073 + 1 : 10 * 3073])


def test_deer_and_dogs_are_labels_4_and_5(data_folder: Path):
    test = (data_folder / "cifar-10-batches-bin" / "test_batch.bin").read_bytes()[::3073]
    size = extent(Cifar10(classes=("deer", "dog"), targets="signed"), data_folder)
    assert (size.outputs, size.test) == (1, test.count(4) + test.count(5))

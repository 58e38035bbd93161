"""CIFAR-100, downsampled ImageNet and EMNIST in small files, and the checksums beside files."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_sources import write_all, write_cifar100, write_emnist, write_imagenet

from ceflow.data import extent, load
from ceflow.data.cifar import COARSE_CLASSES, FINE_CLASSES
from ceflow.data.idx import SPLITS
from ceflow.seeding import Seed
from ceflow.spec import (
    Cifar100,
    Data,
    DataTable,
    Emnist,
    ImageFiles,
    Imagenet32,
    Imagenet64,
    SpecError,
)

SEED = Seed(0)


def refused(spec: Data, folder: Path) -> Any:
    with pytest.raises(SpecError) as caught:
        extent(spec, folder)
    (fault,) = caught.value.faults
    assert fault.help
    return fault


# CIFAR-100


@pytest.mark.parametrize(
    ("labels", "expected", "count"), [("fine", [0, 99, 4], 100), ("coarse", [4, 13, 0], 20)]
)
def test_cifar100_has_two_labels(labels: Any, expected: list[int], count: int, tmp_path: Path):
    write_cifar100(tmp_path, "train", [0, 99, 4], [4, 13, 0])
    spec = Cifar100(path=".", labels=labels)
    assert extent(spec, tmp_path).outputs == count
    train = load(spec, tmp_path, SEED).train
    assert train.y.argmax(axis=1).tolist() == expected
    content = np.fromfile(tmp_path / "train.bin", np.uint8).reshape(-1, 3074)
    np.testing.assert_array_equal(train.x, content[:, 2:] / 255)


def test_classes_of_cifar100_are_named_by_the_labels_in_use(tmp_path: Path):
    assert (len(set(FINE_CLASSES)), len(set(COARSE_CLASSES))) == (100, 20)
    assert sorted(FINE_CLASSES) == FINE_CLASSES  # as the label files have them
    assert sorted(COARSE_CLASSES) == COARSE_CLASSES
    write_cifar100(tmp_path, "train", [0, 30, 4], [4, 0, 0])  # apple; dolphin, beaver
    fine = Cifar100(path=".", classes=["beaver", "apple"], targets="raw")
    assert load(fine, tmp_path, SEED).train.y.tolist() == [[1], [0]]
    coarse = Cifar100(path=".", labels="coarse", classes=["aquatic_mammals"])
    assert extent(coarse, tmp_path).train == 2
    assert (
        "'beaver'" in refused(coarse.model_copy(update={"classes": ["beaver"]}), tmp_path).message
    )


def test_labels_beyond_the_classes_are_refused(tmp_path: Path):
    write_cifar100(tmp_path, "train", [0, 100], [4, 4])
    assert "label 100: the classes are 0 to 99" in refused(Cifar100(path="."), tmp_path).message
    assert extent(Cifar100(path=".", labels="coarse"), tmp_path).train == 2
    for labels in ([1, 0], [1, 1001]):
        write_imagenet(tmp_path, "train_data_batch_1", labels)
        said = refused(Imagenet32(path="."), tmp_path).message
        assert f"label {labels[1]}: the classes are 1 to 1000" in said
    write_emnist(tmp_path, "letters", "train", [1, 27])
    assert "label 27" in refused(Emnist(path=".", split="letters", test=0), tmp_path).message


def test_a_python_version_of_cifar100_is_a_pickle(tmp_path: Path):
    (tmp_path / "train").write_bytes(b"\x80\x04\x95 and more")
    assert refused(Cifar100(path="."), tmp_path).code == "CE303"


# Downsampled ImageNet


@pytest.mark.parametrize("packed", [False, True])
def test_imagenet_archives_follow_each_other(packed: bool, tmp_path: Path):
    labels = {1: [1, 1000, 3], 2: [2], **{number: [5] for number in range(3, 12)}}
    parts = [
        write_imagenet(tmp_path, f"train_data_batch_{n}", labels[n], packed=packed) for n in labels
    ]
    write_imagenet(tmp_path, "val_data", [1000], packed=packed)
    found = load(Imagenet32(path="."), tmp_path, SEED)
    np.testing.assert_array_equal(found.train.x, np.concatenate(parts) / 255)
    assert found.train.y.shape == (13, 1000)
    assert found.train.y.argmax(axis=1).tolist() == [0, 999, 2, 1, *[4] * 9]  # 10 and 11 are last
    assert found.test.y.argmax(axis=1).tolist() == [999]
    some = load(Imagenet32(path=".", classes=["3", "1"], targets="signed"), tmp_path, SEED)
    assert some.train.y.tolist() == [[1], [-1]]


def test_an_archive_that_is_missing_between_others_is_told(tmp_path: Path):
    for number in (1, 3):
        write_imagenet(tmp_path, f"train_data_batch_{number}", [1])
    assert "train_data_batch_2.npz" in refused(Imagenet32(path="."), tmp_path).message


def test_the_other_size_of_imagenet_is_told(tmp_path: Path):
    write_imagenet(tmp_path, "train_data_batch_1", [1], side=64)
    fault = refused(Imagenet32(path="."), tmp_path)
    assert (fault.path, fault.help) == (("data", "source"), 'set source = "imagenet64"')
    assert extent(Imagenet64(path="."), tmp_path).image == (3, 64, 64)


def test_arrays_of_imagenet_agree_and_hold_no_pickles(tmp_path: Path):
    path = tmp_path / "train_data_batch_1.npz"
    data = np.zeros((2, 3072), np.uint8)
    np.savez(path, data=data, labels=np.array([1]))
    assert "2 images" in refused(Imagenet32(path="."), tmp_path).message
    np.savez(path, data=data)
    assert "no array 'labels'" in refused(Imagenet32(path="."), tmp_path).message
    np.savez(path, data=data, labels=np.array([1, None]), allow_pickle=True)
    assert refused(Imagenet32(path="."), tmp_path).code == "CE303"
    path.write_bytes(path.read_bytes()[:-300])
    assert refused(Imagenet32(path="."), tmp_path).code == "CE302"


# EMNIST and its kin


@pytest.mark.parametrize("split", SPLITS)
def test_emnist_images_are_upright_and_named(split: Any, tmp_path: Path):
    names, first = SPLITS[split], int(split == "letters")
    labels = [first, first + len(names) - 1, first]
    seen = write_emnist(tmp_path, split, "train", labels)
    write_emnist(tmp_path, split, "test", labels[:1])
    spec = Emnist(path=".", split=split)
    size = extent(spec, tmp_path)
    assert (size.image, size.outputs, size.test) == ((1, 3, 2), len(names), 1)
    train = load(spec, tmp_path, SEED).train
    np.testing.assert_array_equal(train.x.reshape(3, 3, 2), seen / 255)
    assert train.y.argmax(axis=1).tolist() == [0, len(names) - 1, 0]
    last = Emnist(path=".", split=split, classes=[names[-1]], test=0)
    assert extent(last, tmp_path).train == 1


def test_splits_of_emnist_have_the_published_numbers_of_classes():
    counts = {name: len(set(names)) for name, names in SPLITS.items()}
    published = {"balanced": 47, "bymerge": 47, "byclass": 62, "letters": 26}
    assert counts == published | {"digits": 10, "mnist": 10}


def test_another_split_of_emnist_is_told(tmp_path: Path):
    write_emnist(tmp_path, "digits", "train", [1])
    fault = refused(Emnist(path="."), tmp_path)
    assert "emnist-balanced-train-images-idx3-ubyte" in fault.message
    assert "emnist-digits-train-images" in fault.help


# Checksums


@pytest.mark.parametrize(("name", "algorithm"), [("SHA256SUMS", "sha256"), ("MD5SUMS", "md5")])
def test_a_file_that_differs_from_its_checksum_is_refused(
    name: str, algorithm: str, tmp_path: Path
):
    write_cifar100(tmp_path, "train", [0, 99], [4, 13])
    path, spec = tmp_path / "train.bin", Cifar100(path=".")
    right = hashlib.new(algorithm, path.read_bytes()).hexdigest()
    for line in (f"{right}  train.bin", f"{right.upper()} *./train.bin", "0  other.bin", "words"):
        (tmp_path / name).write_text(f"{line}\n")
        assert extent(spec, tmp_path).train == 2
    content = bytearray(path.read_bytes())
    content[100] ^= 1  # a pixel
    path.write_bytes(content)
    (tmp_path / name).write_text(f"{right}  train.bin\n")
    fault = refused(spec, tmp_path)
    assert (fault.code, fault.path) == ("CE302", ("data", "path"))
    assert str(tmp_path / name) in fault.message


@pytest.mark.parametrize(
    ("spec", "file"),
    [
        (Cifar100(path="cifar100"), "cifar100/test.bin"),
        (Emnist(path="emnist"), "emnist/emnist-balanced-test-images-idx3-ubyte.gz"),
        (Imagenet32(path="imagenet32"), "imagenet32/train_data_batch_2.npz"),
        (DataTable(path="animals.csv", label="kind", test_path="more.csv"), "more.csv"),
    ],
)
def test_every_file_that_is_used_is_compared(spec: Data, file: str, tmp_path: Path):
    write_all(tmp_path)
    path = tmp_path / file
    path.with_name("SHA256SUMS").write_text(f"{'0' * 64}  {path.name}\n")
    assert path.name in refused(spec, tmp_path).message


def test_these_sources_are_written_here(tmp_path: Path):
    write_all(tmp_path)
    photos = ImageFiles(path="photos", size=4)
    assert extent(photos, tmp_path).train == 5

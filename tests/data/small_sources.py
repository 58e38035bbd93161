"""Small files of the published data sets, images and tables, written by hand."""

import gzip
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from conftest import idx_bytes
from PIL import Image


def pixels(count: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, *shape), dtype=np.uint8)


def write_cifar100(folder: Path, part: str, fine: Sequence[int], coarse: Sequence[int]) -> None:
    images = pixels(len(fine), 3072)
    pairs = zip(coarse, fine, images, strict=True)
    records = [bytes([one, two]) + image.tobytes() for one, two, image in pairs]
    (folder / f"{part}.bin").write_bytes(b"".join(records))


def write_emnist(folder: Path, split: str, part: str, labels: Sequence[int]) -> np.ndarray:
    """Write images of 2 x 3 pixels, and return them as they are seen: 3 x 2."""
    images = pixels(len(labels), 2, 3)
    for name, array in (("images", images), ("labels", np.array(labels))):
        path = folder / f"emnist-{split}-{part}-{name}-idx{array.ndim}-ubyte.gz"
        path.write_bytes(gzip.compress(idx_bytes(array)))
    return images.transpose(0, 2, 1)


def write_imagenet(
    folder: Path, name: str, labels: Sequence[int], side: int = 32, packed: bool = False
) -> np.ndarray:
    data = pixels(len(labels), 3 * side * side)
    save: Any = np.savez_compressed if packed else np.savez
    save(folder / f"{name}.npz", data=data, labels=np.array(labels), mean=data.mean(axis=0))
    return data


def write_images(place: Path, classes: dict[str, int], size: tuple[int, int] = (6, 4)) -> None:
    """Write PNG files in a folder per class, `size` pixels wide and high."""
    for name, count in classes.items():
        (place / name).mkdir(parents=True)
        for number in range(count):
            seen = np.random.default_rng(len(name) + number).integers(0, 256, (*size[::-1], 3))
            Image.fromarray(seen.astype(np.uint8)).save(place / name / f"{number}.png")


TABLE = """height,kind,weight
1.5,cat,4
2,dog,30
0.5,cat,3.5
1e0,bird,0.25
2.5,dog,25
"""
"""Five animals."""


def write_table(path: Path, text: str = TABLE) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def write_all(folder: Path) -> None:
    """Write files for a document of each of these sources, in a folder each."""
    for name in ("cifar100", "emnist", "imagenet32", "imagenet64"):
        (folder / name).mkdir()
    write_cifar100(folder / "cifar100", "train", [0, 99, 4, 0], [4, 13, 0, 4])
    write_cifar100(folder / "cifar100", "test", [4, 0], [0, 4])
    for split, labels in (("balanced", [0, 46, 10]), ("letters", [1, 26, 1])):
        write_emnist(folder / "emnist", split, "train", labels)
        write_emnist(folder / "emnist", split, "test", labels[:2])
    write_imagenet(folder / "imagenet32", "train_data_batch_1", [1, 1000, 3])
    write_imagenet(folder / "imagenet32", "train_data_batch_2", [3, 1], packed=True)
    write_imagenet(folder / "imagenet32", "val_data", [3, 2])
    write_imagenet(folder / "imagenet64", "train_data_batch_1", [7, 8], side=64)
    write_images(folder / "photos" / "train", {"cat": 3, "dog": 2})
    write_images(folder / "photos" / "val", {"cat": 1, "dog": 2})
    write_table(folder / "animals.csv")
    write_table(folder / "more.csv", "kind,weight,height\ndog,1,2\ncat,3,4\n")

"""CIFAR-10, binary version: a byte of label and 3 x 32 x 32 bytes of image a record."""

from pathlib import Path
from typing import TYPE_CHECKING

from ceflow.data.dataset import Dataset, Examples, Extent, amount, data_error
from ceflow.data.files import find, read_bytes, refuse_pickle
from ceflow.data.labels import class_numbers, labelled, target_size
from ceflow.seeding import Seed
from ceflow.spec import Cifar10

if TYPE_CHECKING:
    import numpy as np

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
PIXELS = 3 * 32 * 32
RECORD = 1 + PIXELS


def extent(spec: Cifar10, folder: Path) -> Extent:
    numbers = class_numbers(spec.classes, NAMES)
    training, testing = _batches(find(spec.path, folder))
    train = amount(spec.train, _available(training, numbers), "train")
    test = amount(spec.test, _available(testing, numbers), "test")
    return Extent(PIXELS, target_size(spec.targets, len(numbers)), train, test, (3, 32, 32))


def load(spec: Cifar10, folder: Path, seed: Seed) -> Dataset:
    size = extent(spec, folder)
    numbers = class_numbers(spec.classes, NAMES)
    parts = []
    for batches, count in zip(
        _batches(find(spec.path, folder)), (size.train, size.test), strict=True
    ):
        records = _records(batches)
        every = labelled(records[:, 1:], records[:, 0], numbers, spec.targets)
        parts.append(Examples(every.x[:count] / 255, every.y[:count]))
    return Dataset(*parts)


def _batches(root: Path) -> tuple[list[Path], list[Path]]:
    """The files of the training and of the test part."""
    training, testing = sorted(root.glob("data_batch_*.bin")), sorted(root.glob("test_batch.bin"))
    if not training:
        for path in sorted(root.glob("data_batch_*")):
            refuse_pickle(path, read_bytes(path, 4))
        raise data_error("CE301", f"no data_batch_*.bin in {root}")
    return training, testing


def _available(batches: list[Path], numbers: list[int]) -> int:
    return sum(_batch(path)[::RECORD].count(number) for path in batches for number in numbers)


def _records(batches: list[Path]) -> "np.ndarray":
    import numpy as np

    content = b"".join(map(_batch, batches))
    return np.frombuffer(content, np.uint8).reshape(-1, RECORD)


def _batch(path: Path) -> bytes:
    content = read_bytes(path)
    if not content or len(content) % RECORD:
        message = (
            f"{path} is damaged: {len(content)} bytes, no whole number of {RECORD}-byte records"
        )
        raise data_error("CE302", message, help="fetch the file again")
    if max(content[::RECORD]) >= len(NAMES):
        raise data_error("CE302", f"{path} is not CIFAR-10: it has labels above {len(NAMES) - 1}")
    return content

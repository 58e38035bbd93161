"""CIFAR-10, binary version: a byte of label and 3 x 32 x 32 bytes of image a record."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ceflow.data.checks import Part, Survey, classes_of, extent_of
from ceflow.data.dataset import Dataset, Examples, Extent, data_error, rows_of, targets_of
from ceflow.data.files import content, find, read_rows, read_start, remembered
from ceflow.seeding import Seed
from ceflow.spec import Cifar10

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
IMAGE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32


def extent(spec: Cifar10, folder: Path) -> Extent:
    return extent_of(spec, _survey(spec, find(spec.path, folder)))


def load(spec: Cifar10, folder: Path, seed: Seed) -> Dataset:
    size, root = extent(spec, folder), find(spec.path, folder)
    numbers = classes_of(spec, _survey(spec, root))
    parts = zip(_batches(root), (size.train, size.test), strict=True)
    return Dataset(*(_examples(spec, batches, count, numbers) for batches, count in parts))


def _examples(spec: Cifar10, batches: list[Path], count: int, numbers: Sequence[int]) -> Examples:
    import numpy as np

    records, chosen = [np.zeros((0, RECORD), np.uint8)], [np.zeros(0, int)]
    for path in batches:
        if count:
            rows, ranks = rows_of(np.frombuffer(_labels(path), np.uint8), numbers, count)
            with content(path) as stream:
                records.append(read_rows(stream, RECORD, rows))
            chosen.append(ranks)
            count -= len(rows)
    y = targets_of(np.concatenate(chosen), len(numbers), spec.targets)
    return Examples(np.concatenate(records)[:, 1:] / 255, y)


def _survey(spec: Cifar10, root: Path) -> Survey:
    training, testing = _batches(root)
    train, test = _part(training), _part(testing) if testing and spec.test != 0 else None
    return Survey(str(root), train, test, NAMES)


def _part(batches: list[Path]) -> Part:
    counts = sum((Counter(_labels(path)) for path in batches), Counter[int]())
    count, name = sum(counts.values()), batches[0].name
    return Part(name, name, (count, *IMAGE), (count,), lambda: counts)


def _batches(root: Path) -> tuple[list[Path], list[Path]]:
    """List the files of the training and of the test part."""
    training, testing = sorted(root.glob("data_batch_*.bin")), sorted(root.glob("test_batch.bin"))
    if not training:
        for path in sorted(root.glob("data_batch_*")):
            read_start(path, 2)  # says if it is a pickle, as the version for Python is
        raise data_error("CE301", f"no data_batch_*.bin in {root}")
    return training, testing


@remembered
def _labels(path: Path) -> bytes:
    """Read the label of each record of a batch; its length is checked."""
    labels, size = bytearray(), 0
    with content(path) as stream:
        while block := stream.read(1000 * RECORD):
            labels += block[-size % RECORD :: RECORD]
            size += len(block)
    if not size or size % RECORD:
        message = f"{path} is damaged: {size} bytes, no whole number of {RECORD}-byte records"
        raise data_error("CE302", message, help="fetch the file again")
    if max(labels) >= len(NAMES):
        raise data_error("CE302", f"{path} is not CIFAR-10: it has labels above {len(NAMES) - 1}")
    return bytes(labels)

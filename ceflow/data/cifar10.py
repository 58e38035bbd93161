"""CIFAR-10, binary version: records of one label byte and 3 x 32 x 32 image bytes."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ceflow.data.checks import Part, Survey, classes_of, extent_of
from ceflow.data.dataset import Dataset, Examples, Extent, data_error, rows_of, targets_of
from ceflow.data.files import content, contents, find, read_rows, read_start, remembered
from ceflow.seeding import Seed
from ceflow.spec import Cifar10

CLASSES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
IMAGE_SHAPE = (3, 32, 32)
RECORD_BYTES = 1 + 3 * 32 * 32


def extent(spec: Cifar10, folder: Path) -> Extent:
    return extent_of(spec, _survey(spec, find(spec, folder)))


def load(spec: Cifar10, folder: Path, seed: Seed) -> Dataset:
    size, root = extent(spec, folder), find(spec, folder)
    numbers = classes_of(spec, _survey(spec, root))
    parts = zip(_batches(root), (size.train, size.test), strict=True)
    return Dataset(*(_examples(spec, batches, count, numbers) for batches, count in parts))


def _examples(spec: Cifar10, batches: list[Path], count: int, numbers: Sequence[int]) -> Examples:
    import numpy as np

    records, chosen = [np.zeros((0, RECORD_BYTES), np.uint8)], [np.zeros(0, int)]
    for path in batches:
        if count:
            rows, ranks = rows_of(np.frombuffer(_labels(path), np.uint8), numbers, count)
            with content(path) as stream:
                records.append(read_rows(stream, RECORD_BYTES, rows))
            chosen.append(ranks)
            count -= len(rows)
    y = targets_of(np.concatenate(chosen), len(numbers), spec.targets)
    return Examples(np.concatenate(records)[:, 1:] / 255, y)


def _survey(spec: Cifar10, root: Path) -> Survey:
    training, testing = _batches(root)
    train, test = _part(training), _part(testing) if testing and spec.test != 0 else None
    return Survey(str(root), train, test, CLASSES)


def _part(batches: list[Path]) -> Part:
    counts = sum((Counter(_labels(path)) for path in batches), Counter[int]())
    count, name = sum(counts.values()), batches[0].name
    return Part(name, name, (count, *IMAGE_SHAPE), (count,), lambda: counts)


def _batches(root: Path) -> tuple[list[Path], list[Path]]:
    """List the files of the training part and of the test part."""
    training, testing = sorted(root.glob("data_batch_*.bin")), sorted(root.glob("test_batch.bin"))
    if not training:
        for path in sorted(root.glob("data_batch_*")):
            read_start(path, 2)  # raises if it is a pickle, as in the Python version
        raise data_error("CE301", f"no data_batch_*.bin in {root}", help=contents(root))
    return training, testing


@remembered
def _labels(path: Path) -> bytes:
    """Read the label of each record of a batch file, after checking the file's length."""
    labels, size = bytearray(), 0
    with content(path) as stream:
        while block := stream.read(1000 * RECORD_BYTES):
            labels += block[-size % RECORD_BYTES :: RECORD_BYTES]
            size += len(block)
    if not size or size % RECORD_BYTES:
        message = f"{path} is damaged: {size} bytes are not a whole number of {RECORD_BYTES}-byte"
        raise data_error("CE302", f"{message} records", help="fetch the file again")
    if max(labels) >= len(CLASSES):
        message = f"{path} is not CIFAR-10: it has labels above {len(CLASSES) - 1}"
        raise data_error("CE302", message)
    return bytes(labels)

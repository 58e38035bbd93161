"""IDX files, the format of MNIST and its successors."""

import math
import struct
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ceflow.data.checks import Part, Survey, classes_of, extent_of
from ceflow.data.dataset import Dataset, Examples, Extent, data_error, rows_of, targets_of
from ceflow.data.files import (
    blocks,
    content,
    contents,
    find,
    read_rows,
    read_start,
    remembered,
    status,
    unpacked_size,
)
from ceflow.seeding import Seed
from ceflow.spec import Idx

IMAGES_MAGIC, LABELS_MAGIC = 0x0803, 0x0801
"""Magic numbers of files of unsigned bytes: images have three dimensions, labels one."""


def extent(spec: Idx, folder: Path) -> Extent:
    return extent_of(spec, _survey(spec, find(spec, folder)))


def load(spec: Idx, folder: Path, seed: Seed) -> Dataset:
    size, root = extent(spec, folder), find(spec, folder)
    numbers = classes_of(spec, _survey(spec, root))
    parts = (("train", size.train), ("t10k", size.test))
    return Dataset(*(_examples(spec, root, part, count, numbers) for part, count in parts))


def _examples(spec: Idx, root: Path, part: str, count: int, numbers: Sequence[int]) -> Examples:
    import numpy as np

    images = _file(root, part if count else "train", "images", 3)
    rows, ranks = np.zeros(0, int), np.zeros(0, int)
    if count:
        with content(_file(root, part, "labels", 1)) as stream:
            labels = np.frombuffer(stream.read(), np.uint8, offset=_header_size(LABELS_MAGIC))
        rows, ranks = rows_of(labels, numbers, count)
    _, *shape = _shape(images, IMAGES_MAGIC)
    with content(images) as stream:
        stream.seek(_header_size(IMAGES_MAGIC))
        pixels = read_rows(stream, math.prod(shape), rows)
    return Examples(pixels / 255, targets_of(ranks, len(numbers), spec.targets))


def _survey(spec: Idx, root: Path) -> Survey:
    train = _part(root, "train")
    return Survey(str(root), train, None if spec.test == 0 else _part(root, "t10k"), image=True)


def _part(root: Path, part: str) -> Part:
    images, labels = _file(root, part, "images", 3), _file(root, part, "labels", 1)
    shapes = _shape(images, IMAGES_MAGIC), _shape(labels, LABELS_MAGIC)
    return Part(images.name, labels.name, *shapes, lambda: _counts(labels))


def _file(root: Path, part: str, what: str, dimensions: int) -> Path:
    """Find the file of a part, trying each name under which it is distributed.

    If several exist, return the first: a compressed file often lies beside its unpacked copy.
    """
    names = [
        f"{part}-{what}{separator}idx{dimensions}-ubyte{ending}"
        for separator in "-."
        for ending in ("", ".gz")
    ]
    there = [root / name for name in names if (root / name).exists()]
    if not there:
        without = "; set test = 0, to do without a test part" if part == "t10k" else ""
        help = contents(root) + without
        raise data_error("CE301", f"no file {root / names[0]}, plain or .gz", help=help)
    path = next((path for path in there if path.is_file()), there[0])
    status(path)
    return path


def _header_size(magic: int) -> int:
    return 4 + 4 * (magic & 0xFF)


@remembered
def _shape(path: Path, magic: int) -> tuple[int, ...]:
    """Read the shape from the header of an IDX file, and check its magic number and size."""
    length = _header_size(magic)
    header = read_start(path, length)
    if len(header) < length:
        raise data_error("CE302", f"{path} is truncated: it ends inside its header")
    number, *shape = struct.unpack(f">{length // 4}I", header)
    if number != magic:
        message = f"{path} has the magic number {number:#010x}, not {magic:#010x}"
        help = f"an IDX file of unsigned bytes in {len(shape)} dimension(s) is wanted"
        raise data_error("CE302", message, help=help)
    expected = length + math.prod(shape)
    size = unpacked_size(path, expected)
    if size != expected:
        bytes = f"more than {expected}" if size > expected else size
        message = f"{path} is damaged: {bytes} bytes where its header promises {expected}"
        raise data_error("CE302", message, help="fetch the file again")
    return tuple(shape)


@remembered
def _counts(path: Path) -> Counter[int]:
    """Count the examples of each label in a file of labels."""
    counts: Counter[int] = Counter()
    with content(path) as stream:
        stream.seek(_header_size(LABELS_MAGIC))
        for block in blocks(stream, math.prod(_shape(path, LABELS_MAGIC))):
            counts.update(block)
    return counts

"""IDX files, the format of MNIST and its successors, EMNIST among them."""

import math
import string
import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ceflow.data.checks import Part, Survey
from ceflow.data.dataset import data_error
from ceflow.data.files import (
    blocks,
    content,
    contents,
    find,
    read_start,
    remembered,
    status,
    unpacked_size,
)
from ceflow.data.stored import Contents, Stored, file_records
from ceflow.spec import Emnist, Idx

if TYPE_CHECKING:
    import numpy as np

    from ceflow.data.stored import Numbers, Rows

IMAGES_MAGIC, LABELS_MAGIC = 0x0803, 0x0801
"""Magic numbers of files of unsigned bytes: images have three dimensions, labels one."""

OF_MNIST = {"train": "train", "test": "t10k"}
"""What the names of MNIST's files begin with."""

MERGED = [*string.digits, *string.ascii_uppercase, *"abdefghnqrt"]
SPLITS = {
    "balanced": MERGED,
    "bymerge": MERGED,
    "byclass": [*string.digits, *string.ascii_uppercase, *string.ascii_lowercase],
    "digits": [*string.digits],
    "mnist": [*string.digits],
    "letters": [*string.ascii_uppercase],
}
"""Classes of the splits of EMNIST, in the order of their labels. Of the letters that look alike as
capitals and small, `balanced` and `bymerge` have one class, and so has each of `letters`."""


FILES = {"images": 3, "labels": 1}
"""The two files of a part, and the number of dimensions of each."""


def survey(spec: Idx | Emnist, folder: Path) -> Survey:
    root = find(spec, folder)
    used = ["train"] if spec.test == 0 else ["train", "test"]
    return Survey(
        str(root),
        *(_part(spec, root, part) for part in used),
        names=SPLITS[spec.split] if spec.source == "emnist" else None,
        image=True,
        first=_first_label(spec),
        files=[_file(spec, root, part, what) for part in used for what in FILES],
    )


def opened(spec: Idx | Emnist, folder: Path, part: str) -> Contents:
    root = find(spec, folder)
    images, labels = (_file(spec, root, part, what) for what in FILES)
    count, *shape = _shape(images, IMAGES_MAGIC)
    x: Stored = file_records(images, count, math.prod(shape), _header_size(IMAGES_MAGIC))
    if spec.source == "emnist":
        x = Turned(x, (shape[0], shape[1]))
    return Contents(x, lambda: _read_labels(labels) - _first_label(spec), unit=255)


@dataclass(frozen=True, eq=False)
class Turned(Stored):
    """Images whose rows and columns are exchanged, as those of EMNIST are in their files."""

    images: Stored
    shape: tuple[int, int]
    """Rows and columns of the images as they are stored."""

    def at(self, rows: "Rows") -> "Numbers":
        return self._turned(self.images.at(rows))

    def ascending(self, rows: "Rows") -> "Numbers":
        return self._turned(self.images.ascending(rows))

    def _turned(self, found: "Numbers") -> "Numbers":
        return found.reshape(-1, *self.shape).swapaxes(1, 2).reshape(found.shape)


def _first_label(spec: Idx | Emnist) -> int:
    """Return the label of the first class: the letters of EMNIST are numbered from 1."""
    return int(spec.source == "emnist" and spec.split == "letters")


def _part(spec: Idx | Emnist, root: Path, part: str) -> Part:
    images, labels = (_file(spec, root, part, what) for what in FILES)
    (count, *shape), targets = _shape(images, IMAGES_MAGIC), _shape(labels, LABELS_MAGIC)
    if spec.source == "emnist":
        shape.reverse()
    return Part(images.name, labels.name, (count, *shape), targets, lambda: _counts(spec, labels))


def _file(spec: Idx | Emnist, root: Path, part: str, what: str) -> Path:
    """Find a file of a part, trying each name under which it is distributed.

    If several exist, return the first: a compressed file often lies beside its unpacked copy.
    """
    stem = f"emnist-{spec.split}-{part}" if spec.source == "emnist" else OF_MNIST[part]
    names = [
        f"{stem}-{what}{separator}idx{FILES[what]}-ubyte{ending}"
        for separator in "-."
        for ending in ("", ".gz")
    ]
    there = [root / name for name in names if (root / name).exists()]
    if not there:
        without = "; set test = 0, to do without a test part" if part == "test" else ""
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


def _counts(spec: Idx | Emnist, path: Path) -> Counter[int]:
    """Count the examples of each class in a file of labels."""
    first = _first_label(spec)
    return Counter({label - first: count for label, count in _label_counts(path).items()})


@remembered
def _label_counts(path: Path) -> Counter[int]:
    counts: Counter[int] = Counter()
    with content(path) as stream:
        stream.seek(_header_size(LABELS_MAGIC))
        for block in blocks(stream, math.prod(_shape(path, LABELS_MAGIC))):
            counts.update(block)
    return counts


def _read_labels(path: Path) -> "np.ndarray":
    import numpy as np

    with content(path) as stream:
        return np.frombuffer(stream.read(), np.uint8, offset=_header_size(LABELS_MAGIC))

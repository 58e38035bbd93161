"""IDX files, as MNIST and its successors come in."""

import math
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ceflow.data.dataset import Dataset, Examples, Extent, amount, data_error
from ceflow.data.files import find, read_bytes, unpacked_size
from ceflow.data.labels import class_numbers, labelled, target_size
from ceflow.seeding import Seed
from ceflow.spec import Idx

if TYPE_CHECKING:
    import numpy as np

IMAGES, LABELS = 0x0803, 0x0801
"""The magic numbers: unsigned bytes in three dimensions, in one."""

Part = str
"""`train` or `t10k`: how the names of the two parts' files begin."""


def extent(spec: Idx, folder: Path) -> Extent:
    root = find(spec.path, folder)
    numbers = class_numbers(spec.classes, _names(root))
    train = amount(spec.train, _available(root, "train", numbers), "train")
    test = amount(spec.test, _available(root, "t10k", numbers), "test")
    _, height, width = _header(_file(root, "train", "images", 3), IMAGES)
    outputs = target_size(spec.targets, len(numbers))
    return Extent(height * width, outputs, train, test, (1, height, width))


def load(spec: Idx, folder: Path, seed: Seed) -> Dataset:
    size, root = extent(spec, folder), find(spec.path, folder)
    numbers = class_numbers(spec.classes, _names(root))
    parts = []
    for part, count in (("train", size.train), ("t10k", size.test)):
        every = labelled(_pixels(root, part), _labels(root, part), numbers, spec.targets)
        parts.append(Examples(every.x[:count] / 255, every.y[:count]))
    return Dataset(*parts)


def _names(root: Path) -> list[str]:
    """The classes are the numbers from 0 to the largest label."""
    labels = read_bytes(_file(root, "train", "labels", 1))[8:]
    return [str(number) for number in range(max(labels, default=0) + 1)]


def _available(root: Path, part: Part, numbers: list[int]) -> int:
    """How many examples of the chosen classes a part holds; its two files must agree."""
    images, labels = _file(root, part, "images", 3), _file(root, part, "labels", 1)
    (count,) = _header(labels, LABELS)
    if _header(images, IMAGES)[0] != count:
        raise data_error("CE302", f"{images} and {labels} differ in their number of examples")
    content = read_bytes(labels)[8:]
    return sum(content.count(number) for number in numbers)


def _pixels(root: Path, part: Part) -> "np.ndarray":
    import numpy as np

    path = _file(root, part, "images", 3)
    return np.frombuffer(read_bytes(path), np.uint8, offset=16).reshape(_header(path, IMAGES))


def _labels(root: Path, part: Part) -> "np.ndarray":
    import numpy as np

    return np.frombuffer(read_bytes(_file(root, part, "labels", 1)), np.uint8, offset=8)


def _file(root: Path, part: Part, what: str, dimensions: int) -> Path:
    """The file of a part, by any of the names it is distributed under."""

    def candidates() -> Iterator[Path]:
        for separator in "-.":
            for ending in ("", ".gz"):
                yield root / f"{part}-{what}{separator}idx{dimensions}-ubyte{ending}"

    for path in candidates():
        if path.is_file():
            return path
    raise data_error("CE301", f"no file {next(candidates())}, plain or .gz")


def _header(path: Path, magic: int) -> tuple[int, ...]:
    """The dimensions an IDX file declares; its magic number and size are checked."""
    dimensions = magic & 0xFF
    content = read_bytes(path, 4 + 4 * dimensions)
    if len(content) < 4 + 4 * dimensions:
        raise data_error("CE302", f"{path} is truncated: it ends inside its header")
    found, *shape = struct.unpack(f">{1 + dimensions}I", content)
    if found != magic:
        message = f"{path} has the magic number {found:#010x}, not {magic:#010x}"
        help = f"an IDX file of unsigned bytes in {dimensions} dimension(s) is wanted"
        raise data_error("CE302", message, help=help)
    expected, size = 4 + 4 * dimensions + math.prod(shape), unpacked_size(path)
    if size != expected:
        message = f"{path} is damaged: {size} bytes where its header promises {expected}"
        raise data_error("CE302", message, help="fetch the file again")
    return tuple(shape)

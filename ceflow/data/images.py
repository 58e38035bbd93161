"""Image files in a folder per class, decoded by Pillow in threads."""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ceflow.data.checks import Part, Survey
from ceflow.data.dataset import data_error, data_fault
from ceflow.data.files import contents, find
from ceflow.data.stored import Contents, Stored
from ceflow.spec import Fault, ImageFiles, SpecError

if TYPE_CHECKING:
    from PIL.Image import Image

    from ceflow.data.stored import Numbers, Rows

ENDINGS = (
    *(".bmp", ".gif", ".jpeg", ".jpg", ".pbm", ".pgm"),
    *(".png", ".ppm", ".tif", ".tiff", ".webp"),
)
"""Ends of the names of image files, in small letters. Other files are left out."""

WIDE_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
"""Pillow's modes of more than 8 bits per number, which it would cut off at 255."""

MOST_FAULTS = 5
"""Most images that are named in one report."""

AHEAD = 256
"""Images that are given to the threads at a time while all are checked."""


class Listing(NamedTuple):
    """The images of one part, in turns: the first of every class, then the second, and so on."""

    names: list[str]
    """Names of all classes of the part."""
    paths: list[str]
    labels: list[int]
    left_out: int = 0
    """Number of images that cannot be decoded, and are left out."""


def survey(spec: ImageFiles, folder: Path) -> Survey:
    root = find(spec, folder)
    places = _places(root)
    train = _listing(spec, places["train"], None)
    parts, left_out = [_part(spec, places["train"], train)], train.left_out
    if "test" in places and spec.test != 0:
        test = _listing(spec, places["test"], train.names)
        parts.append(_part(spec, places["test"], test))
        left_out += test.left_out
    return Survey(str(root), *parts, names=train.names, left_out=left_out)


def opened(spec: ImageFiles, folder: Path, part: str) -> Contents:
    import numpy as np

    places = _places(find(spec, folder))
    names = None if part == "train" else _class_names(places["train"])
    found = _listing(spec, places[part], names)
    return Contents(Decoded(spec, found.paths), lambda: np.array(found.labels, int), unit=255)


@dataclass(frozen=True, eq=False)
class Decoded(Stored):
    """The pixels of image files, decoded and resized in threads when they are read."""

    spec: ImageFiles
    paths: Sequence[str]

    def at(self, rows: "Rows") -> "Numbers":
        import numpy as np

        side, channels = self.spec.size, self.spec.channels
        pixels = np.empty((len(rows), channels, side, side), np.uint8)

        def decode(place: int) -> None:
            path = self.paths[int(rows[place])]
            try:
                image = square(path, self.spec)
            except Exception as error:
                raise SpecError(_corrupt(path, error)) from None
            pixels[place] = np.asarray(image).reshape(side, side, channels).transpose(2, 0, 1)

        with _threads() as threads:
            for _ in threads.map(decode, range(len(rows))):
                pass
        return pixels.reshape(len(rows), channels * side * side)


def square(path: str, spec: ImageFiles) -> "Image":
    """Decode an image file, and bring it to the size and channels that a document asks for.

    Raises what Pillow raises for files that it cannot decode, and `ValueError` for images of more
    than 8 bits per number.
    """
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        image.draft(None, (2 * spec.size, 2 * spec.size))  # a JPEG of less than it stores
        image.load()
        if image.mode in WIDE_MODES:
            raise ValueError("it has more than 8 bits per number")
        upright = ImageOps.exif_transpose(image).convert("RGB" if spec.channels == 3 else "L")
    width, height = upright.size
    box = (0.0, 0.0, width, height)
    if spec.fit == "crop":
        side = min(width, height)
        left, top = (width - side) / 2, (height - side) / 2
        box = (left, top, left + side, top + side)
    return upright.resize((spec.size, spec.size), Image.Resampling.BILINEAR, box)


def _places(root: Path) -> dict[str, Path]:
    """Find the folders of the parts: `train`, and `val` or `test`; or the folder itself."""
    if not root.is_dir():
        raise data_error("CE301", f"{root} is not a folder", help="name the folder of the images")
    if not (root / "train").is_dir():
        return {"train": root}
    tests = [root / name for name in ("val", "test") if (root / name).is_dir()]
    return {"train": root / "train"} | ({"test": tests[0]} if tests else {})


def _class_names(place: Path) -> list[str]:
    names = [each.name for each in os.scandir(place) if each.is_dir() and each.name[0] != "."]
    if not names:
        message = f"{place} has no folder with the images of a class"
        raise data_error("CE301", message, help=contents(place))
    return sorted(names)


def _listing(spec: ImageFiles, place: Path, known: Sequence[str] | None) -> Listing:
    """List the images of the chosen classes; the labels are those of `known`, if it is given."""
    names = _class_names(place)
    if unknown := sorted(set(names) - set(names if known is None else known)):
        message = f"{place} has the class {unknown[0]!r}, of which there is no training image"
        raise data_error("CE302", message, help="give the classes the same names in both parts")
    columns = []
    for name in names:
        if spec.classes is None or name in spec.classes:
            paths = sorted(_images_in(place / name))
            if not paths and known is None and spec.classes is None:
                message = f"the class {name!r} is empty: no image in {place / name}"
                raise data_error("CE304", message, help=contents(place / name))
            label = (names if known is None else list(known)).index(name)
            columns.append([(path, label) for path in paths])
    turns = [pair for turn in zip_longest(*columns) for pair in turn if pair is not None]
    lost: set[str] = set()
    if spec.corrupt == "skip":
        lost = _corrupt_ones(spec, [path for path, _ in turns])
        turns = [pair for pair in turns if pair[0] not in lost]
    return Listing(names, [path for path, _ in turns], [label for _, label in turns], len(lost))


def _images_in(place: Path) -> Iterator[str]:
    """List the image files in a folder, and in folders within."""
    for folder, _, names in os.walk(place):
        yield from (
            os.path.join(folder, name)
            for name in names
            if name.lower().endswith(ENDINGS) and name[0] != "."
        )


def _part(spec: ImageFiles, place: Path, found: Listing) -> Part:
    count = len(found.paths)
    return Part(
        place.name,
        place.name,
        (count, spec.channels, spec.size, spec.size),
        (count,),
        partial(Counter, found.labels),
        partial(_scan, found.paths),
    )


def _scan(paths: list[str], count: int) -> Iterator[Fault]:
    """Check that the first images begin as image files do. What follows is read when it is used."""
    from PIL import Image

    def begin(path: str) -> None:
        with Image.open(path):
            pass

    faults = (_corrupt(path, error) for path, error in _failures(begin, paths[:count]))
    yield from (fault for fault, _ in zip(faults, range(MOST_FAULTS), strict=False))


def _failures(
    act: Callable[[str], object], paths: Sequence[str]
) -> Iterator[tuple[str, Exception]]:
    """Do something to every file in threads, and yield those for which it raises."""

    def tried(path: str) -> Exception | None:
        try:
            act(path)
        except Exception as error:  # a damaged image can raise almost anything in Pillow
            return error
        return None

    with _threads() as threads:
        for at in range(0, len(paths), AHEAD):
            some = paths[at : at + AHEAD]
            for path, error in zip(some, threads.map(tried, some), strict=True):
                if error is not None:
                    yield path, error


_lost: dict[bytes, set[str]] = {}
"""The corrupt images of each list of files that has been decoded, by a digest of the list."""


def _corrupt_ones(spec: ImageFiles, paths: Sequence[str]) -> set[str]:
    """Decode all images, once as long as no file changes, and return those that cannot be."""
    facts = hashlib.sha256()
    for path in paths:
        about = os.stat(path)
        facts.update(f"{path}\0{about.st_size}\0{about.st_mtime_ns}\n".encode(errors="replace"))
    if (key := facts.digest()) not in _lost:
        _lost[key] = {path for path, _ in _failures(partial(square, spec=spec), paths)}
    return _lost[key]


def _corrupt(path: str, error: Exception) -> Fault:
    if isinstance(error, SpecError):
        return error.faults[0]
    from PIL import UnidentifiedImageError

    why = str(error).split("\n")[0].rstrip(".") or type(error).__name__
    if isinstance(error, UnidentifiedImageError):
        why = "its format is not known"
    if isinstance(error, OSError) and error.strerror:
        why = error.strerror
    message = f"the image {path} cannot be decoded: {why}"
    help = 'remove it or fetch it again; corrupt = "skip" leaves out such images'
    return data_fault("CE302", message, help=help)


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(os.cpu_count() or 1, "ceflow-images")

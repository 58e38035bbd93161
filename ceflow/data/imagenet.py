"""Downsampled ImageNet (Chrabaszcz, Loshchilov and Hutter, 2017): NumPy archives of pixels."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from ceflow.data.archives import (
    Array,
    arrays,
    label_counts,
    labels_in,
    names_in,
    rows_of_array,
    stored,
)
from ceflow.data.checks import Part, Survey
from ceflow.data.dataset import data_error
from ceflow.data.files import contents, find, remembered
from ceflow.data.stored import Chain, Contents
from ceflow.spec import Fault, Imagenet32, Imagenet64

CLASS_NAMES = [str(number) for number in range(1, 1001)]
"""Numbers of the classes in the files."""

DATA, LABELS = "data", "labels"
"""Names of the two arrays that are read. The mean image of the training archives is not."""


def survey(spec: Imagenet32 | Imagenet64, folder: Path) -> Survey:
    root = find(spec, folder)
    training = _training(root)
    testing = [root / "val_data.npz"] if spec.test != 0 and (root / "val_data.npz").exists() else []
    parts = [_part(spec, paths) for paths in (training, testing) if paths]
    return Survey(str(root), *parts, names=CLASS_NAMES, first=1, files=training + testing)


def opened(spec: Imagenet32 | Imagenet64, folder: Path, part: str) -> Contents:
    import numpy as np

    root = find(spec, folder)
    paths = _training(root) if part == "train" else [root / "val_data.npz"]
    pairs = [_arrays(spec, path) for path in paths]
    counts = [data.header.shape[0] for data, _ in pairs]
    pixels = Chain([stored(data) for data, _ in pairs], counts)

    def labels() -> np.ndarray:
        found = [labels_in(stored(y), count) for (_, y), count in zip(pairs, counts, strict=True)]
        return np.concatenate(found) - 1

    return Contents(pixels, labels, unit=255)


def _training(root: Path) -> list[Path]:
    """List the training archives, which are numbered from 1 without a gap."""
    names = (re.fullmatch(r"train_data_batch_(\d+)\.npz", path.name) for path in root.glob("*.npz"))
    numbers = {int(name[1]) for name in names if name}
    paths = [root / f"train_data_batch_{number}.npz" for number in range(1, len(numbers) + 1)]
    if not numbers:
        raise data_error("CE301", f"no train_data_batch_1.npz in {root}", help=contents(root))
    for path in paths:
        if not path.exists():
            message = f"no {path.name} in {root}, and there is one up to {max(numbers)}"
            raise data_error("CE301", message, help="fetch it, or number the archives from 1")
    return paths


def _part(spec: Imagenet32 | Imagenet64, paths: list[Path]) -> Part:
    pairs = [_arrays(spec, path) for path in paths]
    count = sum(data.header.shape[0] for data, _ in pairs)

    def counts() -> Counter[int]:
        total = sum((_label_counts(path) for path in paths), Counter[int]())
        return Counter({label - 1: n for label, n in total.items()})

    name = paths[0].name
    shape = (count, 3, spec.side, spec.side)
    return Part(name, name, shape, (count,), counts, lambda rows: _scan(paths))


def _scan(paths: list[Path]) -> Iterator[Fault]:
    """Read every archive to its end, which checks what its directory says of its content."""
    for path in paths:
        _read_through(path)
    yield from ()


@remembered
def _read_through(path: Path) -> None:
    data = arrays(path, (DATA,))[DATA]
    for _ in rows_of_array(data, data.header.shape[0]):
        pass


@remembered
def _label_counts(path: Path) -> Counter[int]:
    return label_counts(arrays(path, (LABELS,))[LABELS])


def _arrays(spec: Imagenet32 | Imagenet64, path: Path) -> tuple[Array, Array]:
    """Return the arrays of pixels and of labels of an archive, after checking their shapes."""
    given = arrays(path, (DATA, LABELS))
    for name in (DATA, LABELS):
        if name not in given:
            help = f"it has {', '.join(names_in(path)[:10]) or 'no arrays'}"
            raise data_error("CE302", f"{path} has no array {name!r}", help=help)
    data, labels = given[DATA].header, given[LABELS].header
    width = 3 * spec.side**2
    if data.shape[1:] != (width,) or data.type[1:] != "u1":
        shape = " x ".join(map(str, data.shape))
        message = f"data of {path} is not rows of {width} bytes: its shape is {shape}"
        other = {3 * 32**2: "imagenet32", 3 * 64**2: "imagenet64"}.get(data.shape[-1])
        help = f'set source = "{other}"' if other and other != spec.source else ""
        raise data_error("CE302", message, "source" if help else "path", help or "fetch it again")
    if labels.shape != data.shape[:1]:
        rows = f"{data.shape[0]} images have labels of shape {labels.shape}"
        raise data_error(
            "CE302", f"data and labels of {path} differ: {rows}", help="fetch it again"
        )
    return given[DATA], given[LABELS]

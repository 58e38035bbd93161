"""NumPy archives of plain arrays. Object arrays are pickles, and refused."""

import ast
import math
import re
import zipfile
from pathlib import Path
from typing import Any

from ceflow.data.dataset import Dataset, Examples, Extent, amount, data_error
from ceflow.data.files import find, read_bytes
from ceflow.data.labels import labelled, target_size
from ceflow.seeding import Seed
from ceflow.spec import Npz, SpecError

INTEGERS = {"i1": "b", "u1": "B", "i2": "h", "u2": "H", "i4": "i", "u4": "I", "i8": "q", "u8": "Q"}
"""NumPy's names of integer types as those of the standard library."""


def extent(spec: Npz, folder: Path) -> Extent:
    path = find(spec.path, folder)
    shapes = _shapes(path)
    count, *inputs = shapes["x"]
    train = amount(spec.train, count, "train")
    test = amount(spec.test, shapes.get("x_test", (0,))[0], "test")
    if spec.targets == "raw":
        outputs = math.prod(shapes["y"][1:])
    else:
        outputs = target_size(spec.targets, _class_count(path))
    image = (inputs[0], inputs[1], inputs[2]) if len(inputs) == 3 else None
    return Extent(math.prod(inputs), outputs, train, test, image)


def load(spec: Npz, folder: Path, seed: Seed) -> Dataset:
    import numpy as np

    size, path = extent(spec, folder), find(spec.path, folder)
    parts = []
    with np.load(path, allow_pickle=False) as arrays:
        for suffix, count in (("", size.train), ("_test", size.test)):
            if not count:
                parts.append(Examples(np.zeros((0, size.inputs)), np.zeros((0, size.outputs))))
                continue
            x, y = arrays[f"x{suffix}"][:count], arrays[f"y{suffix}"][:count]
            if spec.targets == "raw":
                parts.append(
                    Examples(x.reshape(count, -1).astype(float), y.reshape(count, -1).astype(float))
                )
            else:
                parts.append(
                    labelled(x, y.reshape(-1), list(range(_class_count(path))), spec.targets)
                )
    dataset = Dataset(*parts)
    if not all(np.isfinite(part.x).all() and np.isfinite(part.y).all() for part in parts):
        raise data_error("CE302", f"{path} holds numbers that are not finite")
    return dataset


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each array of an archive; inputs and targets must be there and agree."""
    shapes = {name: header["shape"] for name, (header, _) in _arrays(path).items()}
    for suffix in ("", "_test"):
        x, y = f"x{suffix}", f"y{suffix}"
        missing = [name for name in (x, y) if name not in shapes]
        if missing and (len(missing) == 1 or not suffix):
            help = "arrays x, y, x_test, y_test"
            raise data_error("CE302", f"{path} has no array {missing[0]!r}", help=help)
        if missing:
            continue
        if () in (shapes[x], shapes[y]):
            raise data_error("CE302", f"{x} or {y} of {path} has no rows")
        if shapes[x][:1] != shapes[y][:1]:
            message = f"{x} and {y} of {path} differ in their number of rows"
            raise data_error("CE302", message)
        if (shapes[x][1:], shapes[y][1:]) != (shapes["x"][1:], shapes["y"][1:]):
            message = f"rows of {x} and {y} of {path} differ in shape from those of x and y"
            raise data_error("CE302", message)
    return shapes


def _class_count(path: Path) -> int:
    """Labels are 0 up to the largest in y; those of the test part may be no others."""
    arrays = _arrays(path)
    largest = [
        max(_labels(path, name, *arrays[name]), default=0)
        for name in ("y", "y_test")
        if name in arrays
    ]
    if largest[-1] > largest[0]:
        message = f"y_test of {path} has the label {largest[-1]}, which y has not"
        raise data_error("CE302", message, "targets", 'use targets = "raw"')
    return largest[0] + 1


def _labels(path: Path, name: str, header: dict[str, Any], content: bytes) -> memoryview:
    """One array of labels, its raw bytes read as integers."""
    kind = INTEGERS.get(header["descr"][1:])
    help = 'use targets = "raw"'
    if kind is None or header["descr"][0] == ">" or math.prod(header["shape"][1:]) != 1:
        message = f"{name} of {path} must hold one integer label an example"
        raise data_error("CE302", message, "targets", help)
    labels = memoryview(content).cast(kind)  # pyright: ignore[reportCallIssue, reportArgumentType]
    if min(labels, default=0) < 0:
        raise data_error("CE302", f"{name} of {path} has labels below 0", "targets", help)
    return labels


def _arrays(path: Path) -> dict[str, tuple[dict[str, Any], bytes]]:
    """Header and raw content of each array, read without NumPy."""
    read_bytes(path, 2)  # refuses a pickle
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
            return {name: _parse(path, name, content) for name, content in members.items()}
    except SpecError:
        raise
    except Exception as error:  # whatever a damaged archive makes zipfile or zlib stumble over
        raise data_error("CE302", f"{path} is not a sound .npz archive: {error}") from None


def _parse(path: Path, name: str, content: bytes) -> tuple[dict[str, Any], bytes]:
    """A .npy file: magic, version, length of the header, header, data."""
    if content[:6] != b"\x93NUMPY":
        raise ValueError(f"{name} is not an array")
    start = 10 if content[6] == 1 else 12
    end = start + int.from_bytes(content[8:start], "little")
    header = ast.literal_eval(content[start:end].decode("latin1"))
    if not isinstance(header, dict) or not {"descr", "shape"} <= header.keys():
        raise ValueError(f"{name} has no sound header")
    if header["descr"] == "|O":
        message = (
            f"the array {name!r} of {path} holds Python objects: a pickle, which is never loaded"
        )
        raise data_error("CE303", message, help="save arrays of numbers")
    numeric = re.fullmatch(r"[<>|=][biuf](\d+)", str(header["descr"]))
    if not numeric:
        raise ValueError(f"{name} is not an array of numbers")
    size = int(numeric[1])
    if len(content) - end != size * math.prod(header["shape"]):
        raise ValueError(f"{name} is not as long as its header says")
    return header, content[end:]

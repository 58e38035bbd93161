"""NumPy archives of plain arrays. Object arrays are pickles, and refused."""

import ast
import math
import zipfile
from pathlib import Path
from typing import Any

from ceflow.data.dataset import Dataset, Examples, Extent, amount, data_error
from ceflow.data.files import find, read_bytes
from ceflow.data.labels import labelled, target_size
from ceflow.seeding import Seed
from ceflow.spec import Npz

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
        outputs = target_size(spec.targets, len(_classes(path)))
    return Extent(math.prod(inputs), outputs, train, test)


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
                    labelled(x, y.reshape(-1), list(range(len(_classes(path)))), spec.targets)
                )
    dataset = Dataset(*parts)
    if not all(np.isfinite(part.x).all() and np.isfinite(part.y).all() for part in parts):
        raise data_error("CE302", f"{path} holds numbers that are not finite")
    return dataset


def _shapes(path: Path) -> dict[str, tuple[int, ...]]:
    """The shape of each array of an archive; inputs and targets must be there and agree."""
    shapes = {name: header["shape"] for name, (header, _) in _arrays(path).items()}
    for suffix in ("", "_test"):
        names = [f"x{suffix}", f"y{suffix}"]
        present = [name for name in names if name in shapes]
        if len(present) < 2 and (present or not suffix):
            missing = next(name for name in names if name not in shapes)
            raise data_error(
                "CE302", f"{path} has no array {missing!r}", help="arrays x, y, x_test, y_test"
            )
        if present and shapes[names[0]][:1] != shapes[names[1]][:1]:
            raise data_error(
                "CE302", f"{names[0]} and {names[1]} of {path} differ in their number of rows"
            )
        if present and not shapes[names[0]]:
            raise data_error("CE302", f"{names[0]} of {path} has no rows")
    return shapes


def _classes(path: Path) -> range:
    """Labels are 0 up to the largest in y."""
    header, content = _arrays(path)["y"]
    kind = INTEGERS.get(header["descr"][1:])
    if kind is None or header["descr"][0] == ">":
        message = f"y of {path} must be integer labels"
        raise data_error("CE302", message, "targets", 'use targets = "raw"')
    labels = memoryview(content).cast(kind)  # pyright: ignore[reportCallIssue, reportArgumentType]
    if min(labels, default=0) < 0:
        raise data_error(
            "CE302", f"y of {path} has labels below 0", "targets", 'use targets = "raw"'
        )
    return range(max(labels, default=0) + 1)


def _arrays(path: Path) -> dict[str, tuple[dict[str, Any], bytes]]:
    """Header and raw content of each array, read without NumPy."""
    read_bytes(path, 2)  # refuses a pickle
    try:
        with zipfile.ZipFile(path) as archive:
            members = {name.removesuffix(".npy"): archive.read(name) for name in archive.namelist()}
            return {name: _parse(path, name, content) for name, content in members.items()}
    except (zipfile.BadZipFile, EOFError, ValueError, SyntaxError, KeyError) as error:
        if hasattr(error, "faults"):
            raise
        raise data_error("CE302", f"{path} is not a sound .npz archive: {error}") from None


def _parse(path: Path, name: str, content: bytes) -> tuple[dict[str, Any], bytes]:
    """A .npy file: magic, version, length of the header, header, data."""
    if content[:6] != b"\x93NUMPY":
        raise ValueError(f"{name} is not an array")
    start = 10 if content[6] == 1 else 12
    end = start + int.from_bytes(content[8:start], "little")
    header = ast.literal_eval(content[start:end].decode("latin1"))
    if "O" in str(header["descr"]):
        message = (
            f"the array {name!r} of {path} holds Python objects: a pickle, which is never loaded"
        )
        raise data_error("CE303", message, help="save arrays of numbers")
    return header, content[end:]

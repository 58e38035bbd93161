"""A run directory: the places of its files, and its state."""

import hashlib
import json
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceflow.history import History
from ceflow.store.arrays import (
    About,
    Damaged,
    copy_array,
    describe_array,
    read_array,
    write_array,
    write_rows,
)
from ceflow.store.atomic import remove, write_bytes, write_text, writing
from ceflow.store.lease import LEASE_FILE, Lease, sweep

if TYPE_CHECKING:
    import numpy as np


FOLDERS = ("arrays", "metrics", "figures", "models", "checkpoints")
"""Folders of a run's files."""

DIGEST_BYTES = hashlib.sha256().digest_size

PAGE = "report.html"
"""Name of the page of a run, which is removed when one of its stages is done again."""


class RunDirectory:
    """The files of one run. Every write is atomic; nothing here knows what the numbers mean.

    Only one process at a time may write: if others could, the one that holds the `lease`.
    """

    def __init__(self, path: str | Path, lease: Lease | None = None):
        self.path = Path(path)
        self.lease = lease

    @property
    def exists(self) -> bool:
        """True if a run was begun here."""
        return (self.path / "run.json").is_file()

    @property
    def is_free(self) -> bool:
        """True if a run can begin here: there is nothing except what a killed process left."""
        if not self.path.exists():
            return True
        return self.path.is_dir() and all(map(_is_stray, self.path.iterdir()))

    def sweep(self) -> None:
        """Remove the files that killed processes left."""
        sweep(self.path)
        for folder in (self.path, *(self.path / name for name in FOLDERS)):
            for entry in folder.iterdir() if folder.is_dir() else ():
                if _is_stray(entry) and not entry.name.startswith(LEASE_FILE):
                    remove(entry)

    def remove(self, *patterns: str) -> None:
        """Remove the files and folders whose names match."""
        for pattern in patterns:
            for entry in self.path.glob(pattern):
                with self._writing(entry.name):
                    remove(entry)

    def has(self, name: str) -> bool:
        """Tell whether there is anything of this name."""
        return (self.path / name).exists()

    def read_text(self, name: str) -> str:
        """Read a text file. Raises `Damaged` if it is missing or not text."""
        try:
            return (self.path / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            raise Damaged(f"{self.path / name} is missing") from None
        except (OSError, UnicodeDecodeError):
            raise Damaged(f"{self.path / name} cannot be read") from None

    def write_text(self, name: str, text: str) -> None:
        with self._writing(name):
            write_text(self.path / name, text)

    def write_bytes(self, name: str, content: bytes) -> None:
        with self._writing(name):
            write_bytes(self.path / name, content)

    def read_json(self, name: str, default: Any = None) -> Any:
        """Read a JSON file; return `default` if it is missing. Raises `Damaged`."""
        if not (self.path / name).exists():
            return default
        try:
            return json.loads(self.read_text(name))
        except (ValueError, RecursionError) as error:
            if isinstance(error, Damaged):
                raise
            raise Damaged(f"{self.path / name} is damaged: it is no JSON") from None

    def write_json(self, name: str, content: Any) -> None:
        """Write JSON; numbers must be finite."""
        self.write_text(name, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def _writing(self, name: str) -> AbstractContextManager[None]:
        if self.lease is not None:
            self.lease.require()
        return writing(self.path / name)

    def metrics_name(self, name: str) -> str:
        return f"metrics/{name}.jsonl"

    def write_metrics(self, name: str, history: History) -> None:
        """Write a history, one line of JSON per moment or step."""
        self.write_text(self.metrics_name(name), history.dumps())

    def read_metrics(self, name: str) -> History:
        """Read a history, empty if there is no file; an incomplete last line is dropped."""
        if not (self.path / self.metrics_name(name)).is_file():
            return History({})
        *lines, rest = self.read_text(self.metrics_name(name)).split("\n")
        with suppress(json.JSONDecodeError):
            json.loads(rest)
            lines.append(rest)
        moments = [self._moment(name, number, line) for number, line in enumerate(lines, 1) if line]
        return History.of_lines(moments)

    def _moment(self, name: str, number: int, line: str) -> dict[str, Any]:
        """Parse a line of a history. Raises `Damaged` if it is not a table of numbers."""
        with suppress(ValueError, RecursionError):
            if isinstance(found := json.loads(line), dict):
                return found
        path = self.path / self.metrics_name(name)
        raise Damaged(f"{path} is damaged: its line {number} is no moment")

    def model_name(self, name: str) -> str:
        return f"models/{name}.eqx"

    def inputs_name(self, name: str) -> str:
        return f"models/{name}.inputs.json"

    def checkpoint_name(self, name: str) -> str:
        return f"checkpoints/{name}.bin"

    def write_checkpoint(self, name: str, content: bytes) -> None:
        """Write what a stage needs to go on, in place of an earlier checkpoint."""
        digest = hashlib.sha256(content).digest()
        self.write_bytes(self.checkpoint_name(name), digest + content)

    def read_checkpoint(self, name: str) -> bytes | None:
        """Read the last checkpoint of a stage; None if there is none, or it was changed."""
        try:
            found = (self.path / self.checkpoint_name(name)).read_bytes()
        except OSError:
            return None
        digest, content = found[:DIGEST_BYTES], found[DIGEST_BYTES:]
        return content if hashlib.sha256(content).digest() == digest else None

    def remove_checkpoint(self, name: str) -> None:
        """Remove the checkpoint of a stage, and the folder with the last of them."""
        path = self.path / self.checkpoint_name(name)
        if path.exists():
            with self._writing(self.checkpoint_name(name)):
                remove(path)
        with suppress(OSError):  # there are others, or none at all
            path.parent.rmdir()

    def array_name(self, name: str) -> str:
        return f"arrays/{name}.zarr"

    def array_path(self, name: str) -> Path:
        return self.path / self.array_name(name)

    def has_array(self, name: str) -> bool:
        return self.array_path(name).is_dir()

    def array_names(self, stage: str) -> list[str]:
        """Return the names of a stage's arrays."""
        found = sorted(path.stem for path in (self.path / "arrays").glob("*.zarr"))
        return [name for name in found if name.partition(".")[0] == stage]

    def read_array(self, name: str) -> "np.ndarray":
        """Read an array; a matrix stored as a triangle of tiles is returned whole."""
        return read_array(self.array_path(name))

    def write_array(self, name: str, array: "np.ndarray", about: About | None = None) -> None:
        with self._writing(self.array_name(name)):
            write_array(self.array_path(name), array, about)

    def write_rows(
        self, name: str, blocks: "Iterable[np.ndarray]", rows: int, about: About | None = None
    ) -> None:
        """Write an array that comes by blocks of rows."""
        with self._writing(self.array_name(name)):
            write_rows(self.array_path(name), blocks, rows, about)

    def copy_array(self, name: str, source: Path) -> None:
        """Copy a stored array into the run."""
        with self._writing(self.array_name(name)):
            copy_array(source, self.array_path(name))

    def describe_array(self, name: str, about: About) -> None:
        """Write what an array that is stored already is of."""
        with self._writing(self.array_name(name)):
            describe_array(self.array_path(name), about)


def _is_stray(path: Path) -> bool:
    """Tell whether a path is a temporary file or a file of the lease."""
    return path.name.startswith(".") and (
        path.name.endswith(".tmp") or path.name.startswith(LEASE_FILE)
    )

"""A run directory: where its files are, and what state it is in."""

import json
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ceflow.store.arrays import read_array, write_array
from ceflow.store.atomic import write_text

if TYPE_CHECKING:
    import numpy as np


class RunDirectory:
    """The files of one run. Every write is atomic; nothing here knows what the numbers mean."""

    def __init__(self, path: str | Path):
        self.path = Path(path)

    @property
    def exists(self) -> bool:
        """Whether a run was begun here."""
        return (self.path / "run.json").is_file()

    @property
    def is_free(self) -> bool:
        """Whether a run could begin here."""
        return not self.path.exists() or (self.path.is_dir() and not any(self.path.iterdir()))

    def read_text(self, name: str) -> str:
        return (self.path / name).read_text(encoding="utf-8")

    def write_text(self, name: str, text: str) -> None:
        write_text(self.path / name, text)

    def read_json(self, name: str, default: Any = None) -> Any:
        """The content of a JSON file; `default` where there is none."""
        if not (self.path / name).is_file():
            return default
        return json.loads(self.read_text(name))

    def write_json(self, name: str, content: Any) -> None:
        """Write plain numbers; a number that is not finite has no place in a result."""
        self.write_text(name, json.dumps(content, indent=2, allow_nan=False) + "\n")

    def metrics_name(self, name: str) -> str:
        return f"metrics/{name}.jsonl"

    def write_metrics(self, name: str, lines: list[dict[str, Any]]) -> None:
        """Write a line of plain numbers for each moment or step."""
        text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in lines)
        self.write_text(self.metrics_name(name), text)

    def read_metrics(self, name: str) -> list[dict[str, Any]]:
        """Its lines, none where there is no such file; a last line that is cut off is left out."""
        if not (self.path / self.metrics_name(name)).is_file():
            return []
        *lines, rest = self.read_text(self.metrics_name(name)).split("\n")
        with suppress(json.JSONDecodeError):
            return [json.loads(line) for line in [*lines, rest] if line]
        return [json.loads(line) for line in lines if line]

    def array_name(self, name: str) -> str:
        return f"arrays/{name}.zarr"

    def array_path(self, name: str) -> Path:
        return self.path / self.array_name(name)

    def has_array(self, name: str) -> bool:
        return self.array_path(name).is_dir()

    def read_array(self, name: str) -> "np.ndarray":
        """An array; of a matrix in tiles, which are half of it, the whole."""
        return read_array(self.array_path(name))

    def write_array(self, name: str, array: "np.ndarray") -> None:
        write_array(self.array_path(name), array)

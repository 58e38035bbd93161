"""The specs named on a command line: files, standard input, and all specs in a folder."""

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ceflow.spec import Examined

STANDARD_INPUT = "-"

SPEC_SIGNS = re.compile(
    r"^\s*(?:ceflow\s*=|\[(?:model|stages\b.*)\]|\"(?:model|stages)\"\s*:)", re.M
)
"""Pattern that tells a spec with syntax errors from the files of other tools."""

RUN_SPECS = ("spec.toml", "optimal.toml", "optimal-dual.toml")
"""Names of specs that a run writes."""

SPEC_KEYS = frozenset({"model", "stages", "extends"})
"""Keys of which a spec without `ceflow = 1` must have one."""


def load_spec(path: str, settings: Sequence[str] = ()) -> "Examined":
    """Read and examine a document from a file, or from standard input if the name is `-`."""
    from ceflow.spec import examined, stack
    from ceflow.spec.text import read, read_stream

    if path == STANDARD_INPUT:
        return examined(stack(read_stream(sys.stdin.buffer, "<stdin>"), settings))
    _refuse_run(path)
    return examined(stack(read(path), settings))


def _refuse_run(path: str) -> None:
    """Raise `SpecError` for a run directory, naming the specs in it.

    A path that the system cannot accept is not a run directory.
    """
    from ceflow.spec import Fault, SpecError

    if os.path.isfile(os.path.join(path, "run.json")):
        specs = [str(Path(path, name)) for name in RUN_SPECS if Path(path, name).is_file()]
        help = f"it holds {' and '.join(specs)}" if specs else "name the spec that it was run from"
        raise SpecError(Fault("CE001", f"{path} is a run directory, not a spec", help=help))


@dataclass
class FolderSpecs:
    """The contents of a folder: specs, and what was skipped."""

    specs: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    runs: int = 0

    def __str__(self) -> str:
        """Describe the contents in one line.

        >>> print(FolderSpecs(["a.toml"], ["pyproject.toml"], runs=2))
        1 spec; left alone: 2 run directories, pyproject.toml
        """
        count = f"{len(self.specs)} spec{'' if len(self.specs) == 1 else 's'}"
        directories = f"{self.runs} run director{'y' if self.runs == 1 else 'ies'}"
        others = self.others if len(self.others) <= 10 else [f"{len(self.others)} other files"]
        left = [*([directories] if self.runs else []), *others]
        return f"{count}; left alone: {', '.join(left)}" if left else count


def specs_below(folder: str) -> FolderSpecs:
    """Find the specs in a folder and its subfolders: TOML and JSON files that contain a document.

    Run directories, hidden folders and the files of other tools are skipped; so is a spec without a
    model that others extend, which is checked with them.
    """
    listing, bases = FolderSpecs(), set[Path]()
    without_model: list[Path] = []
    for path in _files(folder, listing):
        tree = _tree(path)
        if tree is None:
            listing.others.append(str(path))
            continue
        listing.specs.append(str(path))
        if isinstance(base := tree.get("extends"), str):
            with suppress(OSError, ValueError, RuntimeError):  # it names no file: check says so
                bases.add((path.parent / base).resolve())
        if tree and "model" not in tree:
            without_model.append(path)
    for path in without_model:
        if path.resolve() in bases:
            listing.specs.remove(str(path))
    return listing


def _files(folder: str, listing: FolderSpecs) -> Iterator[Path]:
    """Yield the files that may be specs, in order, and count run directories."""
    for parent, folders, names in os.walk(folder):
        if "run.json" in names:
            listing.runs += 1
            folders.clear()
            continue
        folders[:] = sorted(name for name in folders if not name.startswith((".", "__")))
        for name in sorted(names):
            if name.endswith((".toml", ".json")) and not name.startswith("."):
                yield Path(parent, name)


def _tree(path: Path) -> dict[str, Any] | None:
    """Read the tree of a spec: empty if it cannot be parsed, None if the file is not a spec."""
    from ceflow.spec import SpecError
    from ceflow.spec.origin import TOP_KEYS
    from ceflow.spec.text import parse, read

    try:
        text = read(path)
    except SpecError:
        return None
    try:
        tree = parse(text)
    except SpecError:
        return {} if SPEC_SIGNS.search(text.content) else None
    known = tree.keys() & TOP_KEYS
    is_spec = "ceflow" in tree or (known & SPEC_KEYS and 2 * len(known) >= len(tree))
    return tree if is_spec else None

"""From a file to a tree: reading and parsing, with one clear sentence where that fails."""

import json
import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ceflow.spec.diagnostics import Fault, Place, SpecError

LARGEST = 4 * 2**20
"""Bytes of the largest document that is read."""


@dataclass(frozen=True)
class Text:
    """A document as written: what to call it in messages, its characters, its syntax."""

    file: str
    content: str
    syntax: Literal["toml", "json"]
    folder: Path

    def place(self, line: int, column: int, length: int = 1) -> Place:
        """A place in this text; line and column are one-based, in characters."""
        lines = self.content.splitlines() or [""]
        shown = lines[min(line, len(lines)) - 1]
        return Place(self.file, line, column, length, shown)


def read(path: str | os.PathLike[str]) -> Text:
    """Read a document's file; its syntax is JSON where the name ends in .json, else TOML."""
    path = Path(path)
    try:
        if path.stat().st_size > LARGEST:
            raise _unreadable(path, f"is larger than {LARGEST >> 20} MiB")
        content = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"is not UTF-8 (byte {error.start})") from None
    except OSError as error:
        raise _unreadable(
            path, f"cannot be read: {(error.strerror or str(error)).lower()}"
        ) from None
    syntax = "json" if path.suffix == ".json" else "toml"
    return Text(str(path), content, syntax, path.parent)


def parse(text: Text) -> dict[str, Any]:
    """The tree of plain values that a text stands for."""
    try:
        tree = _parse_json(text.content) if text.syntax == "json" else tomllib.loads(text.content)
    except json.JSONDecodeError as error:
        raise _invalid(text, error.msg, error.lineno, error.colno) from None
    except tomllib.TOMLDecodeError as error:
        raise _invalid(text, *_toml_place(text, str(error))) from None
    except RecursionError:
        raise _invalid(text, "nested too deeply", 1, 1) from None
    except ValueError as error:  # an integer of more digits than Python converts, a repeated key
        raise _invalid(text, str(error), 1, 1) from None
    if not isinstance(tree, dict):
        raise _invalid(text, "a document is a table of keys", 1, 1)
    return tree


def _parse_json(content: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        tree = dict(pairs)
        if len(tree) < len(pairs):
            keys = [key for key, _ in pairs]
            repeated = next(key for key in keys if keys.count(key) > 1)
            raise ValueError(f"the key {repeated!r} stands twice in one table")
        return tree

    return json.loads(content, object_pairs_hook=unique)


def _toml_place(text: Text, message: str) -> tuple[str, int, int]:
    """tomllib says where only in its message."""
    found = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message, re.DOTALL)
    if found:
        return found[1], int(found[2]), int(found[3])
    lines = text.content.splitlines() or [""]
    return message.removesuffix(" (at end of document)"), len(lines), len(lines[-1]) + 1


def _unreadable(path: Path, why: str) -> SpecError:
    return SpecError(Fault("CE001", f"{path} {why}"))


def _invalid(text: Text, why: str, line: int, column: int) -> SpecError:
    message = f"not valid {text.syntax.upper()}: {why[:1].lower()}{why[1:]}"
    return SpecError(Fault("CE002", message, place=text.place(line, column)))

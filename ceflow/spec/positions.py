"""The position of each key and value of a document in its text.

tree-sitter finds the positions and nothing else: tomllib and json decide what a text means.
"""

import json
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import tree_sitter_json
import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from ceflow.spec.base import KeyPath
from ceflow.spec.diagnostics import Part, Place
from ceflow.spec.text import Text

_GRAMMARS = {"toml": tree_sitter_toml, "json": tree_sitter_json}


@dataclass(frozen=True)
class _Entry:
    key: Node | None
    value: Node | None


@lru_cache(maxsize=8)
def positions_in(text: Text) -> "Positions":
    """Find the positions in a text; the result is cached."""
    return Positions(text)


class Positions:
    """The places of a text's keys and values, by path."""

    def __init__(self, text: Text):
        self.text = text
        self.lines = text.content.encode().split(b"\n")
        language = Language(_GRAMMARS[text.syntax].language())
        root = Parser(language).parse(text.content.encode()).root_node
        walk = _walk_toml(root) if text.syntax == "toml" else _walk_json(root, ())
        self.entries: dict[tuple[str, ...], _Entry] = {}
        for path, entry in walk:
            self.entries.setdefault(tuple(map(str, path)), entry)

    def find(self, path: KeyPath, part: Part = "value") -> Place:
        """Find the place of a key or value, or else of the nearest table around it."""
        for length in range(len(path), 0, -1):
            entry = self.entries.get(tuple(map(str, path[:length])))
            if entry is None:
                continue
            wanted_key = part == "key" or length < len(path)
            node = (entry.key if wanted_key else entry.value) or entry.key or entry.value
            if node is not None:
                return self._place(node)
        return self.text.place(1, 1)

    def _place(self, node: Node) -> Place:
        row, start = node.start_point
        end_row, end = node.end_point
        line = self.lines[row]
        column = len(line[:start].decode(errors="replace"))
        stop = end if end_row == row else len(line.rstrip(b"\r"))
        length = len(line[start:stop].decode(errors="replace"))
        shown = line.rstrip(b"\r").decode(errors="replace")
        return Place(self.text.file, row + 1, column + 1, length, shown)


def _walk_toml(root: Node) -> Iterator[tuple[KeyPath, _Entry]]:
    elements: dict[KeyPath, int] = {}
    for node in root.named_children:
        if node.type == "pair":
            yield from _toml_pair(node, ())
        elif node.type in ("table", "table_array_element"):
            yield from _toml_table(node, elements)


def _toml_table(table: Node, elements: dict[KeyPath, int]) -> Iterator[tuple[KeyPath, _Entry]]:
    header, *pairs = table.named_children
    path: KeyPath = ()
    keys = _toml_keys(header)
    for key in keys:
        path = (*path, _toml_name(key))
        yield path, _Entry(key, None)
        last = key == keys[-1]
        if table.type == "table_array_element" and last:
            elements[path] = elements.get(path, -1) + 1
        if path in elements:
            path = (*path, elements[path])
            yield path, _Entry(key, None)
    for pair in pairs:
        if pair.type == "pair":
            yield from _toml_pair(pair, path)


def _toml_pair(pair: Node, path: KeyPath) -> Iterator[tuple[KeyPath, _Entry]]:
    key, value = pair.named_children[:2]
    *tables, last = _toml_keys(key)
    for table in tables:
        path = (*path, _toml_name(table))
        yield path, _Entry(table, None)
    yield from _toml_value(value, (*path, _toml_name(last)), last)


def _toml_value(value: Node, path: KeyPath, key: Node | None) -> Iterator[tuple[KeyPath, _Entry]]:
    yield path, _Entry(key, value)
    if value.type == "inline_table":
        for pair in value.named_children:
            if pair.type == "pair":
                yield from _toml_pair(pair, path)
    elif value.type == "array":
        items = (node for node in value.named_children if node.type != "comment")
        for index, item in enumerate(items):
            yield from _toml_value(item, (*path, index), None)


def toml_path(key: Node) -> KeyPath:
    """Return the path of a key, which may be dotted."""
    return tuple(_toml_name(each) for each in _toml_keys(key))


def _toml_keys(node: Node) -> list[Node]:
    """List the single keys of a possibly dotted key, in order."""
    keys: list[Node] = []
    while node.type == "dotted_key":  # a.b.c is parsed as (a.b).c
        node, last = node.named_children
        keys.append(last)
    return [node, *reversed(keys)]


def _toml_name(key: Node) -> str:
    text = (key.text or b"").decode()
    try:
        return next(iter(tomllib.loads(f"{text} = 0"))) if text[:1] in "'\"" else text
    except tomllib.TOMLDecodeError:
        return text


def _json_name(key: Node) -> str:
    try:
        return json.loads((key.text or b"").decode())
    except ValueError:
        return ""


def _walk_json(node: Node, path: KeyPath) -> Iterator[tuple[KeyPath, _Entry]]:
    if node.type == "document":
        for child in node.named_children:
            yield from _walk_json(child, path)
    elif node.type == "object":
        for pair in node.named_children:
            if pair.type == "pair":
                key, value = pair.named_children[:2]
                below = (*path, _json_name(key))
                yield below, _Entry(key, value)
                yield from _walk_json(value, below)
    elif node.type == "array":
        for index, item in enumerate(node.named_children):
            yield (*path, index), _Entry(None, item)
            yield from _walk_json(item, (*path, index))

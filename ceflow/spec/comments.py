"""Edits of TOML text: carrying comments over, and reordering tables."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import tree_sitter_toml
from tree_sitter import Language, Node, Parser

from ceflow.spec.base import KeyPath
from ceflow.spec.positions import toml_path


@dataclass(frozen=True)
class Entry:
    """A key with its value, or a table header: its path, its first and its last line."""

    path: KeyPath
    first: int
    last: int
    is_head: bool


@dataclass(frozen=True)
class Comment:
    """A comment, its line, and whether both that line and the next hold nothing else."""

    text: str
    line: int
    is_apart: bool


def with_comments(content: str, old: str) -> str:
    """Copy the comments and line endings of an older text into a text.

    Comments move with the entries that both texts have; those at the top stay at the top.

    >>> print(with_comments("seed = 2", "# why\\nseed = 1  # by lot"))
    # why
    seed = 2  # by lot
    """
    lines, above = content.split("\n"), dict[int, list[str]]()
    entries = [part for part in _parts(content) if isinstance(part, Entry)]
    top: list[str] = []
    for comment, at, beside in _placed(list(_parts(old))):
        entry = next((each for each in entries if at and each.path[: len(at)] == at), None)
        if at == ():
            top.append(comment)
        elif entry and beside and entry.path == at and "#" not in lines[entry.last]:
            lines[entry.last] += f"  {comment}"
        elif entry:
            above.setdefault(entry.first, []).append(comment)
    told = ((*above.get(number, ()), line) for number, line in enumerate(lines))
    end = "\r\n" if "\r\n" in old else "\n"
    return end.join([*top, *(line for group in told for line in group)])


def with_tables_in_order(content: str, parent: str, names: Iterable[str]) -> str:
    """Reorder the tables below `parent` in a text; everything else keeps its place.

    >>> print(with_tables_in_order("[x.a]\\n[y]\\n[x.b]\\nc = 1", "x", ["b", "a"]))
    [x.b]
    c = 1
    [y]
    [x.a]
    """
    blocks = list(_blocks(content))
    places = [at for at, (path, _) in enumerate(blocks) if len(path) > 1 and path[0] == parent]
    wanted = [at for name in names for at in places if blocks[at][0][1] == name]
    texts = [text for _, text in blocks]
    for place, at in zip(places, wanted, strict=False):  # some name is no table of its own
        text, there = blocks[at][1], blocks[place][1]
        texts[place] = text.rstrip() + (there[len(there.rstrip()) :] or "\n")
    return "".join(texts).rstrip("\n") + content[len(content.rstrip("\n")) :]


def _placed(parts: list[Entry | Comment]) -> Iterator[tuple[str, KeyPath, bool]]:
    """Find the path that each comment belongs to, and tell whether it is on the same line; () is
    the top.
    """
    for index, part in enumerate(parts):
        if isinstance(part, Entry):
            continue
        before = [each for each in parts[:index] if isinstance(each, Entry)]
        after = next((each for each in parts[index:] if isinstance(each, Entry)), None)
        if before and before[-1].last == part.line:
            yield part.text, before[-1].path, True
        elif before and before[-1].last > part.line:  # inside of its value
            yield part.text, before[-1].path, False
        elif after is None:
            yield part.text, before[-1].path if before else (), False
        else:
            yield part.text, after.path if before or not part.is_apart else (), False


def _blocks(content: str) -> Iterator[tuple[KeyPath, str]]:
    """Split a text into blocks, each from a table header, with the comments right above, to the
    next.
    """
    lines = content.splitlines(keepends=True)
    heads: list[tuple[int, KeyPath]] = [(0, ())]
    for part in _parts(content):
        if isinstance(part, Entry) and part.is_head:
            first = part.first
            while first and lines[first - 1].lstrip().startswith("#"):
                first -= 1
            heads.append((first, part.path))
    ends = [first for first, _ in heads[1:]]
    for (first, path), end in zip(heads, [*ends, len(lines)], strict=True):
        yield path, "".join(lines[first:end])


def _parts(content: str) -> Iterator[Entry | Comment]:
    """Yield entries and comments in their order."""
    root = Parser(Language(tree_sitter_toml.language())).parse(content.encode()).root_node
    yield from _parts_of(root, (), content.split("\n"))


def _parts_of(node: Node, path: KeyPath, lines: list[str]) -> Iterator[Entry | Comment]:
    below = path
    for child in node.named_children:
        first, last = child.start_point[0], child.end_point[0]
        if child.type == "comment":
            after = lines[first + 1].strip() if first + 1 < len(lines) else ""
            text = (child.text or b"").decode().rstrip("\r")
            yield Comment(text, first, not after or text.startswith("#:"))
        elif child.type in ("table", "table_array_element"):
            head = child.named_children[0]
            below = toml_path(head)
            yield Entry(below, head.start_point[0], head.end_point[0], True)
            yield from _parts_of(child, below, lines)
        elif child.type == "pair" and node.type in ("document", "table", "table_array_element"):
            at = (*path, *toml_path(child.named_children[0]))
            yield Entry(at, first, last, False)
            yield from _parts_of(child, at, lines)
        elif child.type in ("array", "inline_table", "pair"):
            yield from _parts_of(child, path, lines)

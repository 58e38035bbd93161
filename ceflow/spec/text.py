"""Reading and parsing a file into a tree, with one clear sentence if that fails."""

import json
import os
import re
import stat
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, BinaryIO, Literal

from ceflow.spec.diagnostics import Fault, Place, SpecError

LARGEST_TEXT = 2**18
"""Maximum size of a document, in bytes."""

DEEPEST_NESTING = 50
"""Maximum nesting of tables and arrays; far below Python's recursion limit."""

_LONG_INTEGER = re.compile(r"(?:[0-9]_?){4301}")
"""Matches an integer with more digits than Python reads."""

_DOTTED = re.compile(
    r"""(?<![\w-])(?:(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')[ \t]*+\.[ \t]*+)""" f"{{{DEEPEST_NESTING}}}"
)
"""Matches a dotted key with too many parts, for which tomllib needs quadratic time."""


@dataclass(frozen=True)
class Text:
    """A document as written: its name in messages, its characters, its syntax."""

    file: str
    content: str
    syntax: Literal["toml", "json"]
    folder: Path

    def place(self, line: int, column: int, length: int = 1) -> Place:
        """Make a place in this text; line and column are counted from 1, in characters."""
        lines = self.lines
        return Place(self.file, line, column, length, lines[min(line, len(lines)) - 1])

    @property
    def lines(self) -> list[str]:
        """The lines as editors count them: only a line feed ends a line."""
        return [line.removesuffix("\r") for line in self.content.split("\n")]


def read(path: str | os.PathLike[str]) -> Text:
    """Read a document's file; the syntax is JSON if the name ends in .json, otherwise TOML."""
    path = Path(path)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):  # a pipe may never end, nor a device
            raise _unreadable(path, "is not a file")
        with path.open("rb") as file:
            content = file.read(LARGEST_TEXT + 1)
    except OSError as error:
        raise _unreadable(
            path, f"cannot be read: {(error.strerror or str(error)).lower()}"
        ) from None
    except SpecError:
        raise
    except ValueError:  # a null character, or one half of a surrogate pair
        raise _unreadable(path, "is no name of a file") from None
    syntax = "json" if path.suffix == ".json" else "toml"
    return Text(str(path), _decoded(path, content), syntax, path.parent)


def read_stream(stream: BinaryIO, name: str) -> Text:
    """Read a document from a stream such as standard input; it is JSON if it begins with a brace.

    Relative paths in it are relative to the working directory.
    """
    content = _decoded(name, stream.read(LARGEST_TEXT + 1))
    return Text(name, content, "json" if content.lstrip()[:1] == "{" else "toml", Path())


def _decoded(name: str | Path, content: bytes) -> str:
    if len(content) > LARGEST_TEXT:
        raise _unreadable(name, f"is larger than {LARGEST_TEXT >> 10} KiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _unreadable(name, f"is not UTF-8 (byte {error.start})") from None
    if "\0" in text:
        raise _unreadable(name, "is no text: it holds a NUL byte")
    return text


def parse(text: Text) -> dict[str, Any]:
    """Parse a text into a tree of plain values."""
    try:
        text.content.encode()
    except UnicodeEncodeError as error:
        raise _invalid(
            _printable(text),
            "half of a surrogate pair",
            *_line_and_column(text.content, error.start),
        ) from None
    if text.syntax == "toml" and (key := _DOTTED.search(text.content)):
        raise _invalid(
            text, "a key of too many parts", *_line_and_column(text.content, key.start())
        )
    try:
        tree = _parse_json(text.content) if text.syntax == "json" else tomllib.loads(text.content)
    except json.JSONDecodeError as error:
        raise _invalid(text, error.msg, error.lineno, error.colno) from None
    except tomllib.TOMLDecodeError as error:
        raise _invalid(text, *_toml_place(text, str(error))) from None
    except RecursionError:
        raise _invalid(text, "nested too deeply", 1, 1) from None
    except ValueError as error:  # a repeated key, an integer of more digits than Python reads
        if digits := _LONG_INTEGER.search(text.content):
            place = _line_and_column(text.content, digits.start())
            raise _invalid(text, "an integer of thousands of digits", *place) from None
        line, column = _json_place(text, str(error)) if text.syntax == "json" else (1, 1)
        raise _invalid(text, str(error), line, column) from None
    if not isinstance(tree, dict):
        raise _invalid(text, "a document is a table of keys", 1, 1)
    if _is_too_deep(tree):
        raise _invalid(text, "nested too deeply", 1, 1)
    return tree


def is_too_dotted(content: str) -> bool:
    """Tell whether a TOML text has a key with too many parts."""
    return _DOTTED.search(content) is not None


def _is_too_deep(tree: Any) -> bool:
    """Tell whether anything is nested deeper than `DEEPEST_NESTING` levels, without recursion."""
    level = [tree]
    for _ in range(DEEPEST_NESTING):
        level = [
            item
            for value in level
            for item in (value.values() if isinstance(value, dict) else value)
            if isinstance(item, dict | list)
        ]
        if not level:
            return False
    return True


def _printable(text: Text) -> Text:
    return replace(text, content=text.content.encode(errors="replace").decode())


def _line_and_column(content: str, at: int) -> tuple[int, int]:
    return content.count("\n", 0, at) + 1, at - content.rfind("\n", 0, at)


def _parse_json(content: str) -> Any:
    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        tree = dict(pairs)
        if len(tree) < len(pairs):
            seen: set[str] = set()
            repeated = next(key for key, _ in pairs if key in seen or seen.add(key))
            raise ValueError(f"the key {json.dumps(repeated)} occurs twice in one table")
        return tree

    def refuse(constant: str) -> Any:
        raise ValueError(f'the number {constant} is not in JSON; infinity is the string "inf"')

    return json.loads(content, object_pairs_hook=unique, parse_constant=refuse)


def _json_place(text: Text, message: str) -> tuple[int, int]:
    """Find the last occurrence of the word that a message is about, or else the start."""
    words = re.findall(r'"(?:[^"\\]|\\.)*"|-?Infinity|NaN', message)
    before, found, _ = text.content.rpartition(words[0] if words else "\0")
    if not found:
        return 1, 1
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def _toml_place(text: Text, message: str) -> tuple[str, int, int]:
    """Extract the position from a message of tomllib, which does not give it otherwise."""
    matched = re.fullmatch(r"(.*) \(at line (\d+), column (\d+)\)", message, re.DOTALL)
    if matched:
        return matched[1], int(matched[2]), int(matched[3])
    end = len(text.lines), len(text.lines[-1]) + 1
    return message.removesuffix(" (at end of document)"), *end


def _unreadable(path: str | Path, why: str) -> SpecError:
    return SpecError(Fault("CE001", f"{path} {why}"))


def _invalid(text: Text, why: str, line: int, column: int) -> SpecError:
    message = f"not valid {text.syntax.upper()}: {why[:1].lower()}{why[1:]}"
    place = text.place(line, column)
    help = described(text.content, text.syntax)
    if not help and text.syntax == "toml":
        help = slip(place.text)
    return SpecError(Fault("CE002", message, place=place, help=help))


_YAML = re.compile(r"(?:- )?[\w\"'.-]+\s*:(?:\s.*)?|- .*|---|\.\.\.")
_PYTHON = re.compile(r"(?:import|from|def|class|if|for|with|return|print)\b.*|@\w.*|\w+\(.*")
_INI = re.compile(r"\[[^\]=]*\]|[\w .-]+[=:].*|;.*")
_TOML = re.compile(r"\[+[\w .\"'-]+\]+\s*(?:#.*)?|[\w.\"' -]+=.*")

LEAST_FORMAT_SHARE = 0.75
"""Minimum fraction of a text's lines that must look like a format."""

ADVICE_BY_PATTERN = {
    r"=\s*(?:True|False)\b": "TOML writes true and false small",
    r"=\s*(?:None|null|nil)\b": "TOML has no null: leave the key out",
    r"=\s*(?:inf|Infinity|-?infty|np\.inf|math\.inf)\b": "infinity is written inf",
    r"=\s*\(": "an array stands in brackets, as widths = [500, 500]",
    r"=\s*[A-Za-z_./~-]": 'text stands in quotes, as type = "mlp"',
    r"=\s*(?:#.*)?$": "a value is missing behind the =",
    r"=\s*\d[\d.]*[eE]?\s*[*/^+]|=\s*\d+\s*\*\*": "a value is a number, not a calculation",
}
"""Advice for common mistakes in a line, by the pattern that they match."""


def described(content: str, suffix: str) -> str:
    """Guess the format of a text that is not TOML (or JSON in a `.json` file), as a help line.

    >>> described("model:\\n  type: mlp\\n", "toml")
    'this looks like YAML: a document is TOML, as in `ceflow init`, or JSON'
    """
    found = _format(content)
    if found == "JSON" and suffix == "toml":
        return "this looks like JSON: let the name of the file end in .json"
    if found == "TOML" and suffix == "json":
        return "this looks like TOML: let the name of the file end in .toml"
    if found in ("", suffix.upper()):
        return ""
    return f"this looks like {found}: a document is TOML, as in `ceflow init`, or JSON"


def slip(line: str) -> str:
    """Say what to do about a wrong line of TOML; '' if it is not a common mistake.

    >>> slip("type = mlp")
    'text stands in quotes, as type = "mlp"'
    """
    return next(
        (help for form, help in ADVICE_BY_PATTERN.items() if re.search(form, line[:500])), ""
    )


def _format(content: str) -> str:
    start = content.lstrip()[:1]
    if start in ("{", "<"):
        return {"{": "JSON", "<": "XML or HTML"}[start]
    lines = [line.strip()[:500] for line in content.splitlines()[:200]]
    lines = [line for line in lines if line and not line.startswith("#")]
    heads = sum(1 for line in lines if line.startswith("[") and _TOML.fullmatch(line))
    for name, form in (("Python", _PYTHON), ("YAML", _YAML), ("TOML", _TOML), ("INI", _INI)):
        like = sum(1 for line in lines if form.fullmatch(line))
        if lines and like >= LEAST_FORMAT_SHARE * len(lines) and not (name == "YAML" and heads):
            return name
    return ""

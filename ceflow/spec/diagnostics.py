"""Faults in a document: what is wrong, where, and what to do about it."""

from dataclasses import dataclass, replace
from typing import Literal

Part = Literal["key", "value"]

MOST_FAULTS = 100
"""Maximum number of faults in one error: more do not help, and a megabyte of text can hold
100,000."""
LONGEST_LINE = 160
"""Maximum number of characters shown of a line."""
CONTROL_SYMBOLS = {code: chr(0x2400 + code) for code in range(32)} | {9: " ", 127: "\u2421"}
"""Control characters, each as a symbol of the same width: the content of a file must not control
the terminal."""
LONGEST_MESSAGE = 400
"""Maximum number of characters of a message; a name in it can be as long as the document."""


@dataclass(frozen=True)
class Place:
    """A range of characters in a text: line and column counted from 1, and the line itself."""

    file: str
    line: int
    column: int
    length: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Fault:
    """One fault of a document.

    - `code`: stable, listed in `ceflow.spec.codes`.
    - `message`: one sentence, what is wrong.
    - `path`: where in the document; `part` tells whether the key or the value is at fault.
    - `help`: what to do; empty if the message says it.
    - `place`: where in the text, once that is known.
    - `meant`: for an unknown key or value, the one that was probably meant.
    - `missing`: the key that the table at `path` lacks.
    - `absolute`: whether `path` is that in the whole document, and not in the part that found it.
    """

    code: str
    message: str
    path: tuple[str | int, ...] = ()
    part: Part = "value"
    help: str = ""
    place: Place | None = None
    meant: str | None = None
    missing: str | None = None
    absolute: bool = False

    def below(self, *parents: str | int) -> "Fault":
        """Return the same fault with its path prefixed by `parents`, unless it is absolute."""
        return self if self.absolute else replace(self, path=(*parents, *self.path))

    def __str__(self) -> str:
        where = str(self.place) if self.place else dotted(self.path)
        message = f"{self.code}: {cut(self.message, LONGEST_MESSAGE)}"
        lines = [f"{where}: {message}" if where else message]
        if self.place and self.place.text:
            margin = f"{self.place.line:>5} | "
            shown, column = _window(self.place)
            length = min(self.place.length, len(shown) - column + 1)
            caret = " " * (column - 1) + "^" * max(1, length)
            lines += [f"{margin}{shown}", f"{'':>5} | {caret}"]
        if self.help:
            lines.append(f"      = {cut(self.help, LONGEST_MESSAGE)}")
        return "\n".join(printable(line.translate(CONTROL_SYMBOLS)) for line in lines)


class SpecError(ValueError):
    """A document, or a file that it refers to, has faults. `faults` lists each of them once."""

    def __init__(self, *faults: Fault):
        self.faults = tuple(dict.fromkeys(faults))[:MOST_FAULTS]
        super().__init__("\n".join(map(str, self.faults)))


def printable(text: str) -> str:
    r"""Escape the characters of a text that could control a terminal.

    All characters that cannot be printed are escaped, including control characters, line ends and
    those that change the direction of writing.

    >>> print(printable("a\x1b[2J\n\u202eb"))
    a\x1b[2J\n\u202eb
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cut(text: str, length: int) -> str:
    """Cut a text off after this many characters."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _window(place: Place) -> tuple[str, int]:
    """Cut a line to the part that is shown, and return the column of the place in it."""
    if len(place.text) <= LONGEST_LINE:
        return place.text, place.column
    start = max(0, min(place.column - 1 - LONGEST_LINE // 2, len(place.text) - LONGEST_LINE))
    return place.text[start : start + LONGEST_LINE], place.column - start


def dotted(path: tuple[str | int, ...]) -> str:
    """Write `("model", "widths", 0)` as `model.widths[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text

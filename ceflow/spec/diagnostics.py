"""Faults in a document: what is wrong, where, and what to do about it."""

from dataclasses import dataclass, replace
from typing import Literal

Part = Literal["key", "value"]

MOST = 100
"""Faults that one error holds: more help nobody, and a megabyte can hold a hundred thousand."""
WIDEST = 160
"""Characters of a line that are shown."""
VISIBLE = {code: chr(0x2400 + code) for code in range(32)} | {9: " ", 127: "\u2421"}
"""Control characters as symbols as wide: what a file holds must not steer a terminal."""
LONGEST = 400
"""Characters of a message; a name in it can be as long as the document."""


@dataclass(frozen=True)
class Place:
    """A run of characters in a text: one-based line and column, and the line itself."""

    file: str
    line: int
    column: int
    length: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True)
class Fault:
    """One thing wrong with a document.

    - `code`: stable, listed in `ceflow.spec.codes`.
    - `message`: one sentence, what is wrong.
    - `path`: where in the document; `part` says whether its key or its value is to blame.
    - `help`: what to do; empty where the message says it.
    - `place`: where in the text, once that is known.
    - `meant`: of a key or value that is not known the one that was likely meant.
    - `missing`: the key that the table at `path` lacks.
    """

    code: str
    message: str
    path: tuple[str | int, ...] = ()
    part: Part = "value"
    help: str = ""
    place: Place | None = None
    meant: str | None = None
    missing: str | None = None

    def below(self, *parents: str | int) -> "Fault":
        """Give the same fault, seen from `parents`."""
        return replace(self, path=(*parents, *self.path))

    def __str__(self) -> str:
        where = str(self.place) if self.place else dotted(self.path)
        message = f"{self.code}: {cut(self.message, LONGEST)}"
        lines = [f"{where}: {message}" if where else message]
        if self.place and self.place.text:
            margin = f"{self.place.line:>5} | "
            shown, column = _window(self.place)
            length = min(self.place.length, len(shown) - column + 1)
            caret = " " * (column - 1) + "^" * max(1, length)
            lines += [f"{margin}{shown}", f"{'':>5} | {caret}"]
        if self.help:
            lines.append(f"      = {cut(self.help, LONGEST)}")
        return "\n".join(printable(line.translate(VISIBLE)) for line in lines)


class SpecError(ValueError):
    """A document, or what it refers to, is wrong. `faults` holds every fault found, once."""

    def __init__(self, *faults: Fault):
        self.faults = tuple(dict.fromkeys(faults))[:MOST]
        super().__init__("\n".join(map(str, self.faults)))


def printable(text: str) -> str:
    r"""Make a text one that steers no terminal.

    Characters that cannot be printed are escaped, those of control, line ends and the direction of
    writing among them.

    >>> print(printable("a\x1b[2J\n\u202eb"))
    a\x1b[2J\n\u202eb
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def cut(text: str, length: int) -> str:
    """Leave the end of a text out where it is longer."""
    return text if len(text) <= length else f"{text[: length - 3]}..."


def _window(place: Place) -> tuple[str, int]:
    """Cut as much of a line as is shown, and give the column of the place in it."""
    if len(place.text) <= WIDEST:
        return place.text, place.column
    start = max(0, min(place.column - 1 - WIDEST // 2, len(place.text) - WIDEST))
    return place.text[start : start + WIDEST], place.column - start


def dotted(path: tuple[str | int, ...]) -> str:
    """Write `("model", "widths", 0)` as `model.widths[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text

"""Faults in a document: what is wrong, where, and what to do about it."""

from dataclasses import dataclass, replace
from typing import Literal

Part = Literal["key", "value"]


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
    """

    code: str
    message: str
    path: tuple[str | int, ...] = ()
    part: Part = "value"
    help: str = ""
    place: Place | None = None

    def below(self, *parents: str | int) -> "Fault":
        """The same fault, seen from `parents`."""
        return replace(self, path=(*parents, *self.path))

    def __str__(self) -> str:
        where = str(self.place) if self.place else dotted(self.path)
        lines = [
            f"{where}: {self.code}: {self.message}" if where else f"{self.code}: {self.message}"
        ]
        if self.place and self.place.text:
            margin = f"{self.place.line:>5} | "
            caret = " " * (self.place.column - 1) + "^" * max(1, self.place.length)
            lines += [f"{margin}{self.place.text}", f"{'':>5} | {caret}"]
        if self.help:
            lines.append(f"      = {self.help}")
        return "\n".join(lines)


class SpecError(ValueError):
    """A document, or what it refers to, is wrong. `faults` holds every fault found."""

    def __init__(self, *faults: Fault):
        super().__init__("\n".join(map(str, faults)))
        self.faults = faults


def dotted(path: tuple[str | int, ...]) -> str:
    """`("model", "widths", 0)` as `model.widths[0]`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text

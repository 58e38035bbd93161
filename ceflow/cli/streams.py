"""Standard output and error that never stop the work: what cannot be shown is replaced, and what
nobody reads any more is dropped."""

import codecs
import io
import os
import sys
from typing import Any

LIKE = str.maketrans("→±²Σ·…–—│┤─└●○", ">~2S..--||-+*o")
"""What may stand for a sign that an encoding has not, as wide."""

lost: list[OSError] = []
"""Why output was lost, other than that nobody reads it."""


def make_patient() -> None:
    """Let standard output and error be such streams."""
    codecs.register_error("ceflow", _replaced)
    sys.stdout, sys.stderr = map(_patient, (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ceflow")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(LIKE)
    return "".join(map(_plain, text)), error.end


def _plain(sign: str) -> str:
    """Keep a sign that is ASCII; write a dot for the dots of a curve; else a question mark."""
    if sign.isascii():
        return sign
    return "." if "\u2800" < sign <= "\u28ff" else "?"


class _Patient(io.FileIO):
    """A file that takes what it cannot write, and drops it and all that follows."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if not isinstance(error, BrokenPipeError):
                lost.append(error)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def _patient(stream: Any) -> Any:
    """Put a stream over a file that is patient; leave one that is no file as it is."""
    if stream is None:  # it was closed before this process began
        return open(os.devnull, "w", encoding="utf-8")
    if os.name == "nt":  # a console is written by other means there
        return stream
    try:
        file = _Patient(stream.fileno(), "w", closefd=False)
        stream.flush()
    except (AttributeError, OSError, ValueError):
        return stream
    return io.TextIOWrapper(
        io.BufferedWriter(file),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
    )

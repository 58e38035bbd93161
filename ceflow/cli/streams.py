"""Standard output and error that never stop a run: characters that cannot be encoded are replaced,
and output that nobody reads is dropped.
"""

import codecs
import io
import os
import sys
from typing import Any

ASCII_LIKE = str.maketrans("→±²Σ·…–—│┤─└●○◆◇■□▲△░▒▓█▁▂▃▄▅▆▇", ">~2S..--||-+*o%@=^v!.:+#_.,-~=+")
"""ASCII replacements, of the same width, for characters that an encoding lacks."""

lost: list[OSError] = []
"""Errors by which output was lost, except that nobody reads it."""


def make_patient() -> None:
    """Replace standard output and error by such streams."""
    codecs.register_error("ceflow", _replaced)
    sys.stdout, sys.stderr = map(_patient, (sys.stdout, sys.stderr))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ceflow")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(ASCII_LIKE)
    return "".join(map(_plain, text)), error.end


def _plain(sign: str) -> str:
    """Replace a character that is not ASCII: a dot for braille, otherwise a question mark."""
    if sign.isascii():
        return sign
    return "." if "\u2800" < sign <= "\u28ff" else "?"


class _Patient(io.FileIO):
    """A file that drops what it cannot write and everything after it, without an error."""

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
    """Wrap a stream in a patient file; return a stream that is not a file as it is."""
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

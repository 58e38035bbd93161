"""Rows of bytes in a stream: images, one after the other."""

from typing import TYPE_CHECKING, BinaryIO

from ceflow.data.files import BLOCK

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Int, UInt8


def read_rows(
    stream: BinaryIO, width: int, rows: "Int[np.ndarray, ' n']"
) -> "UInt8[np.ndarray, 'n width']":
    """Read the rows so numbered, ascending, of `width` bytes each; no others stay in memory.

    Raises `EOFError` where the stream ends before.
    """
    import numpy as np

    pixels = np.empty((len(rows), width), np.uint8)
    height, start, done = max(1, BLOCK // width), 0, 0
    while done < len(rows):
        content = stream.read(height * width)
        if not content:
            raise EOFError
        block = np.frombuffer(content, np.uint8).reshape(-1, width)
        here = rows[done : np.searchsorted(rows, start + len(block))] - start
        pixels[done : done + len(here)] = block[here]
        start, done = start + len(block), done + len(here)
    return pixels

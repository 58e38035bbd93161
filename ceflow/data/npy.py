"""Arrays in NumPy's .npy format, read without NumPy: the header, and bytes of the first rows."""

import ast
import math
import struct
from collections.abc import Iterator
from typing import IO, Any, NamedTuple

from ceflow.data.files import blocks

LONGEST_HEADER_BYTES = 10_000
"""Largest accepted size in bytes of a header; the limit is also NumPy's."""

STRUCT_FORMATS = {"b1": "?", "f2": "e", "f4": "f", "f8": "d"} | {
    f"{sign}{size}": letter.upper() if sign == "u" else letter
    for sign in "iu"
    for size, letter in ((1, "b"), (2, "h"), (4, "i"), (8, "q"))
}
"""NumPy's type codes of numbers, and the `struct` format characters for them."""

UNSUPPORTED_TYPES = {
    "U": "text",
    "S": "text",
    "c": "complex numbers",
    "V": "records",
    "M": "dates",
    "m": "times",
    "f": "numbers of another size than 2, 4 or 8 bytes",
}
"""Descriptions of unsupported types, by the first letter of NumPy's type code."""

NOT_FINITE_HIGH_BYTES = {2: b"\x7c\x7d\x7e\x7f\xfc\xfd\xfe\xff", 4: b"\x7f\xff", 8: b"\x7f\xff"}
"""Most significant bytes that NaN and infinity (and the largest numbers) have, by float size."""


class UnsoundError(ValueError):
    """An array cannot be read. The message completes a sentence that starts with its name."""


class PickledError(ValueError):
    """An array holds Python objects, and so is a pickle."""


class Header(NamedTuple):
    """Header of an array: its shape, type and order, and the offset `start` of its numbers."""

    shape: tuple[int, ...]
    type: str
    """NumPy's type code: byte order, kind and bytes per number."""
    fortran: bool
    """Whether the array is in Fortran (column-major) order."""
    start: int

    @property
    def itemsize(self) -> int:
        """Bytes per number."""
        return int(self.type[2:])

    @property
    def format(self) -> str:
        """Format character of the numbers for `struct`."""
        return STRUCT_FORMATS[self.type[1:]]

    @property
    def order(self) -> str:
        """Byte order of the numbers for `struct`."""
        return "<" if self.type[0] == "|" else self.type[0]


def read_header(stream: IO[bytes], size: int) -> Header:
    """Read the header of an array file of `size` bytes; leave the stream at the first number.

    Raises `UnsoundError` and `PickledError`.
    """
    start = stream.read(8)
    if start[:6] != b"\x93NUMPY":
        raise UnsoundError("is not an array")
    wide = 2 if start[6:7] == b"\x01" else 4
    length = int.from_bytes(stream.read(wide), "little")
    table = _table(stream.read(length)) if length <= LONGEST_HEADER_BYTES else {}
    order = table.get("fortran_order")
    if not isinstance(order, bool):
        raise UnsoundError("has no sound header")
    shape, kind = _shape(table.get("shape")), _type(table.get("descr"))
    header = Header(shape, kind, order, 8 + wide + length)
    if header.start + header.itemsize * math.prod(shape) != size:
        raise UnsoundError("is not as long as its header says")
    return header


def _table(text: bytes) -> dict[str, Any]:
    try:
        table = ast.literal_eval(text.decode("utf-8", "replace"))
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return {}
    return table if isinstance(table, dict) else {}


def _shape(value: Any) -> tuple[int, ...]:
    """Check and return the shape."""
    if isinstance(value, tuple) and all(type(size) is int and size >= 0 for size in value):
        return value
    raise UnsoundError("has no sound header")


def _type(value: Any) -> str:
    """Check and return the type code."""
    if isinstance(value, list):
        raise UnsoundError("holds records, not plain numbers")
    if not isinstance(value, str) or len(value) < 2 or value[0] not in "<>|=":
        raise UnsoundError("has no sound header")
    if value[1] == "O":
        raise PickledError
    if value[1:] not in STRUCT_FORMATS:
        what = UNSUPPORTED_TYPES.get(value[1], "something else")
        raise UnsoundError(f"is not an array of numbers: it holds {what}")
    return value


def first_rows(stream: IO[bytes], header: Header, count: int) -> Iterator[bytes]:
    """Read the first `count` rows in blocks of bytes, in storage order; no number is split.

    The stream must be at the first number. Raises `UnsoundError` if it ends early.
    """
    rows, *rest = header.shape
    run, gap, times = count * math.prod(rest) * header.itemsize, 0, 1
    if header.fortran and count < rows:  # a piece of each column
        run, gap, times = count * header.itemsize, (rows - count) * header.itemsize, math.prod(rest)
    for column in range(times):
        got = 0
        for block in blocks(stream, run):
            if len(block) % header.itemsize:
                break
            got += len(block)
            yield block
        if got < run:
            raise UnsoundError("ends early")
        if gap and column < times - 1:
            stream.seek(gap, 1)


def numbers_in(block: bytes, header: Header) -> tuple[Any, ...]:
    """Unpack the numbers in a block to Python numbers."""
    return struct.unpack(f"{header.order}{len(block) // header.itemsize}{header.format}", block)


def first_rounded(block: bytes, header: Header) -> int | None:
    """Return the index of the first integer in a block that float64 would round, or None."""
    if header.itemsize < 8 or header.format in "efd":
        return None
    first, second = (0, 1) if header.order == ">" else (7, 6)  # the two most significant bytes
    signed = header.type[1] == "i"
    if all(
        second < 0x20 if first == 0 else signed and first == 0xFF and second >= 0xE0
        for first, second in set(zip(block[first::8], block[second::8], strict=True))
    ):
        return None  # all are below 2^53 in absolute value
    numbers = numbers_in(block, header)
    return next((at for at, number in enumerate(numbers) if int(float(number)) != number), None)


def first_not_finite(block: bytes, header: Header) -> int | None:
    """Return the index of the first number in a block that is NaN or infinite, or None."""
    if header.format not in "efd":
        return None
    size = header.itemsize
    tops = block[0 if header.order == ">" else size - 1 :: size]
    if not any(top in tops for top in NOT_FINITE_HIGH_BYTES[size]):
        return None
    numbers = numbers_in(block, header)
    return next((at for at, number in enumerate(numbers) if not math.isfinite(number)), None)

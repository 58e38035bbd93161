"""Limits of this machine and of its libraries."""

import ctypes
import os
from contextlib import suppress

MEMORY = 2**30
"""Default limit in bytes for data that can be kept or recomputed: factors of a kernel, the rows of
Theta, replicas that are integrated together."""

LAPACK_ROWS = 8_192
"""Most rows of a matrix that is given to Cholesky's method of LAPACK in one piece. OpenBLAS, which
is part of NumPy and of SciPy, was seen to end the process with more than one thread at 16,000 and
17,000 rows: its parallel dpotrf writes beyond a buffer."""


def memory() -> float:
    """Return the bytes of physical memory; infinite if the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def trim() -> None:
    """Return memory that was freed to the system. The C library keeps pieces of it for each thread,
    which others do not fill (glibc); on systems without this call, nothing happens.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)

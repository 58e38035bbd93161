"""The memory of this machine."""

import os

MEMORY = 2**30
"""Default limit in bytes for data that can be kept or recomputed: factors of a kernel, the rows of
Theta, replicas that are integrated together."""


def memory() -> float:
    """Return the bytes of physical memory; infinite if the system does not tell."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")

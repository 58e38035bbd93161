"""The memory of this machine."""

import os

MEMORY = 2**30
"""Bytes that what can be kept or made again as needed may take, unless a caller says otherwise:
factors of a kernel, the rows of Theta, replicas that are followed together."""


def memory() -> float:
    """Count bytes of physical memory; infinite where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")

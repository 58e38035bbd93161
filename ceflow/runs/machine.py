"""What this machine has, and what versions did the work."""

import os
import platform
from importlib.metadata import version


def memory() -> float:
    """Bytes of physical memory; infinite where the system does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return float("inf")


def versions() -> dict[str, str]:
    """Of Python and the libraries that decide the numbers."""
    libraries = ("ceflow", "jax", "equinox", "numpy", "scipy")
    return {"python": platform.python_version()} | {name: version(name) for name in libraries}

"""What this machine has, and what versions did the work."""

import platform
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from ceflow._machine import memory

__all__ = ["memory", "peak_memory", "reset_peak_memory", "versions"]


def versions() -> dict[str, str]:
    """Of Python and the libraries that decide the numbers."""
    libraries = ("ceflow", "jax", "equinox", "numpy", "scipy")
    return {"python": platform.python_version()} | {name: version(name) for name in libraries}


def reset_peak_memory() -> None:
    """Begin a new measurement of the peak, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int | None:
    """The most bytes this process has had in memory since the reset; None if it is not known."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return None

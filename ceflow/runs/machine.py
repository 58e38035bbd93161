"""The memory that this process takes, and the versions that did the work."""

import gc
import itertools
import os
import platform
import sys
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path

from ceflow._machine import memory
from ceflow.seeding import GENERATOR

__all__ = ["let_go", "memory", "peak_memory", "reset_peak_memory", "versions"]

MOST_MAPS = 6_000
"""Memory maps of this process at which compiled programs are let go: some 500 MB of them. Each
takes ten and more, and Linux gives a process 65,530; there its compiler ends it."""

MOST_STAGES = 100
"""Stages after which they are let go where the system does not tell its maps."""

_stages = itertools.count(1)


ROUNDING = (
    *("JAX_PLATFORMS", "JAX_DISABLE_JIT", "JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS"),
    *("OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "MKL_NUM_THREADS", "OMP_NUM_THREADS"),
)
"""Variables of the environment that change the last digits, and are left to the user."""


def versions() -> dict[str, str]:
    """List the versions of Python and the libraries that decide the numbers.

    With them go the generator of random ones, and what of the environment decides how they round.
    """
    libraries = ("ceflow", "jax", "equinox", "numpy", "scipy")
    known = {"python": platform.python_version()} | {name: version(name) for name in libraries}
    known["generator"] = f"{GENERATOR}, partitionable"
    return known | {name: os.environ[name] for name in ROUNDING if name in os.environ}


def reset_peak_memory() -> None:
    """Begin a new measurement of the peak, where the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int | None:
    """Give the most bytes this process has had in memory since the reset; None if not known."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return None


def let_go() -> None:
    """Forget what JAX has compiled, where that has become much: shapes that come again until then
    are not compiled anew."""
    jax = sys.modules.get("jax")
    if jax is not None and _is_full():
        jax.clear_caches()
        gc.collect()


def _is_full() -> bool:
    with suppress(OSError):
        return Path("/proc/self/maps").read_bytes().count(b"\n") > MOST_MAPS
    return next(_stages) % MOST_STAGES == 0

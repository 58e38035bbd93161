"""Memory use of this process, and the versions of the libraries."""

import gc
import itertools
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path

from ceflow._machine import memory, trim
from ceflow.seeding import GENERATOR

__all__ = ["fewer_collections", "let_go", "memory", "peak_memory", "reset_peak_memory", "versions"]

MOST_MAPS = 9_000
"""Number of memory maps of this process above which compiled programs are discarded: about 750 MB
of programs. Each takes ten maps or more; Linux allows a process 65,530, and XLA aborts beyond
that."""

MOST_STAGES = 100
"""Number of stages after which compiled programs are discarded, if the system does not report the
maps."""

_stages = itertools.count(1)

COLLECT_AFTER = (20_000, 20, 20)
"""Thresholds of Python's garbage collector during a run. With its own, 700 new objects, it runs
hundreds of times while JAX traces one program: a twentieth of the time of a sweep."""


ROUNDING_VARIABLES = (
    *("JAX_PLATFORMS", "JAX_DISABLE_JIT", "JAX_DISABLE_MOST_OPTIMIZATIONS", "XLA_FLAGS"),
    *("OPENBLAS_NUM_THREADS", "OPENBLAS_CORETYPE", "MKL_NUM_THREADS", "OMP_NUM_THREADS"),
)
"""Environment variables that change the last digits of results; ceflow does not set them."""


def versions() -> dict[str, str]:
    """List the versions of Python and of the libraries that determine the numbers.

    The list includes the random number generator, and the environment variables that affect
    rounding.
    """
    libraries = ("ceflow", "jax", "equinox", "optax", "numpy", "scipy")
    known = {"python": platform.python_version()} | {name: version(name) for name in libraries}
    known["generator"] = f"{GENERATOR}, partitionable"
    return known | {name: os.environ[name] for name in ROUNDING_VARIABLES if name in os.environ}


def reset_peak_memory() -> None:
    """Start a new measurement of the peak memory, if the system can (Linux)."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def peak_memory() -> int | None:
    """Return the peak memory of this process in bytes since the reset; None if unknown."""
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    return None


@contextmanager
def fewer_collections() -> Iterator[None]:
    """Collect garbage less often in the block, unless it is collected less often already."""
    before = gc.get_threshold()
    if 0 < before[0] < COLLECT_AFTER[0]:
        gc.set_threshold(*COLLECT_AFTER)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def let_go() -> None:
    """Discard the functions that JAX has compiled, if there are many. Until then, shapes that occur
    again are not recompiled.

    Unless the C library is told to return what is freed, a sweep of 1,000 runs grows to 5.6 GB.
    """
    jax = sys.modules.get("jax")
    if jax is not None and _is_full():
        jax.clear_caches()
        gc.collect()
        trim()


def _is_full() -> bool:
    with suppress(OSError):
        return Path("/proc/self/maps").read_bytes().count(b"\n") > MOST_MAPS
    return next(_stages) % MOST_STAGES == 0

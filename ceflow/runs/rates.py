"""Micro-benchmarks of this machine, run once and kept in the user's cache.

Run as a program, this module measures and prints JSON. It needs its own process because it loads
JAX.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

TIMED_CALLS = 6
"""Number of timed calls, of which the fastest counts."""


@dataclass(frozen=True)
class MachineRates:
    """Speed of this machine when otherwise idle, and the costs of starting JAX.

    Single-core work is timed by the CPU clock of this process, which other processes do not affect.
    """

    flops32: float = 200e9
    """Floating-point operations per second of a matrix product in float32."""
    flops64: float = 100e9
    """Floating-point operations per second of a matrix product in float64."""
    traffic: float = 4e9
    """Bytes per second read and written by elementwise operations on arrays larger than the
    cache."""
    normals: float = 50e6
    """Normal random numbers per second."""
    compilation: float = 0.3
    """Seconds to compile a small function; the compilation of larger ones is counted in this
    unit."""
    start: float = 0.8
    """Seconds to load JAX."""
    base: float = 300e6
    """Bytes of a process that has loaded JAX and compiled a function."""


def rates() -> MachineRates:
    """Read this machine's rates from the user's cache; measure and store them if they are missing.

    If the measurement fails, typical rates are returned.
    """
    path = rates_path()
    try:
        return MachineRates(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        pass
    command = [sys.executable, "-m", "ceflow.runs.rates"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        measured = MachineRates(**json.loads(done.stdout))
    except (OSError, ValueError, TypeError, subprocess.TimeoutExpired):
        return MachineRates()
    with suppress(OSError):  # without a cache they are measured again
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(measured), indent=2))
    return measured


def rates_path() -> Path:
    """Return the path of the file with this machine's rates."""
    return cache_folder() / f"rates-{version('jax')}-{os.cpu_count()}.json"


def cache_folder() -> Path:
    """Return the folder where ceflow caches measurements and compiled functions."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "ceflow"


def _measure() -> MachineRates:
    start = time.process_time()
    import jax
    import jax.numpy as jnp

    jnp.ones(3).block_until_ready()
    start = time.process_time() - start
    key = jax.random.key(0)
    with jax.enable_x64(True):
        matrix = jax.random.normal(key, (1024, 1024))
        large = jnp.ones(2**24)
        product = jax.jit(lambda a: a @ a)
        add = jax.jit(lambda a: a * 1.5 + 1)
        draw = jax.jit(lambda key: jax.random.normal(key, (2**20,)))
        compilation = time.process_time()
        jax.block_until_ready(draw(key))
        compilation = time.process_time() - compilation
        return MachineRates(
            flops32=2 * 1024**3 / _seconds(lambda: product(matrix.astype(jnp.float32))),
            flops64=2 * 1024**3 / _seconds(lambda: product(matrix)),
            traffic=2 * large.nbytes / _seconds(lambda: add(large)),
            normals=2**20 / _seconds(lambda: draw(key)),
            compilation=compilation,
            start=start,
            base=_resident() - large.nbytes,
        )


def _seconds(work: "Callable[[], object]") -> float:
    """Time the fastest of several calls after the first, by the smaller of wall time and CPU time.

    On a busy machine the CPU time of this process is smaller; on an idle machine the wall time is,
    because a matrix product uses several cores.
    """
    import jax

    taken = []
    for _ in range(TIMED_CALLS + 1):
        start = time.perf_counter(), time.process_time()
        jax.block_until_ready(work())
        now = time.perf_counter(), time.process_time()
        taken.append(min(after - before for after, before in zip(now, start, strict=True)))
    return min(taken[1:])


def _resident() -> float:
    """Return the resident memory of this process in bytes, or a typical value if the system does
    not tell.
    """
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return float(pages * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, IndexError):
        return MachineRates.base


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_measure())))

"""A few micro-measurements of this machine, taken once and kept in the user's cache.

Run as a program it measures and prints JSON: a process of its own, because it loads JAX.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

RUNS = 6
"""Calls of which the fastest counts."""


@dataclass(frozen=True)
class MachineRates:
    """The speed of this machine when it does nothing else, and what JAX costs on it at first.

    What runs on one core is measured by the processor's clock, which goes on for this process only.
    """

    flops32: float = 200e9
    """Floating-point operations a second of a matrix product, float32."""
    flops64: float = 100e9
    """The same at float64."""
    traffic: float = 4e9
    """Bytes a second read and written by elementwise work that does not fit in the cache."""
    normals: float = 50e6
    """Normal random numbers a second."""
    compilation: float = 0.3
    """Seconds to compile a small function: a unit that larger ones are counted in."""
    start: float = 0.8
    """Seconds to load JAX."""
    base: float = 300e6
    """Bytes of a process that has loaded JAX and compiled something."""


def rates() -> MachineRates:
    """Read this machine's rates from the user's cache; measure and keep them where they are not.

    Where measuring fails, typical rates stand in.
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
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(asdict(measured), indent=2))
    except (OSError, ValueError, TypeError, subprocess.TimeoutExpired):
        return MachineRates()
    return measured


def rates_path() -> Path:
    """Name the file of this machine's rates."""
    return cache_folder() / f"rates-{version('jax')}-{os.cpu_count()}.json"


def cache_folder() -> Path:
    """Find where ceflow keeps what it can make again: measurements, compiled functions."""
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
    """Time the fastest of some calls after the first, by the lesser of two clocks.

    On a machine at work on something else the processor's is, of this process alone; on one that
    does nothing else that of the wall is, as a product takes several cores.
    """
    import jax

    taken = []
    for _ in range(RUNS + 1):
        start = time.perf_counter(), time.process_time()
        jax.block_until_ready(work())
        now = time.perf_counter(), time.process_time()
        taken.append(min(after - before for after, before in zip(now, start, strict=True)))
    return min(taken[1:])


def _resident() -> float:
    """Read the bytes of this process in memory now; a typical figure if the system is silent."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return float(pages * os.sysconf("SC_PAGE_SIZE"))
    except (OSError, ValueError, IndexError):
        return MachineRates.base


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asdict(_measure())))

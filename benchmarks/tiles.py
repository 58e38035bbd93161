"""The analytic kernel of 20,000 Fashion-MNIST images to Zarr: memory, seconds, cost of an entry.

Debian's package `dataset-fashion-mnist` holds the images. The kernel of the first 4000, in memory,
takes turns with the tiles, in a process of its own whose peak memory is measured. CPU seconds, of
all threads, are what is left of a ratio where others use the machine too.
"""

import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

IMAGES = Path("/usr/share/datasets/fashion-mnist")
SMALL, LARGE = 4000, 20_000
RUNS = 9
"""In memory, before the tiles and after them."""


def images(count: int):
    """The first images of the training set, float32."""
    import numpy as np

    from ceflow.data import load
    from ceflow.seeding import Seed
    from ceflow.spec import Idx

    data = load(Idx(path=str(IMAGES), train=count, test=1), Path(), Seed(0))
    return data.train.x.astype(np.float32)


def timed(work: Callable[[], object]) -> tuple[float, float]:
    """Seconds by the clock, and of all threads."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu


def measure(folder: str) -> None:
    """Print the wall-clock and CPU nanoseconds of an entry, in memory and in tiles; peak memory."""
    import jax

    from ceflow.kernels import write_tiles
    from ceflow.kernels.infinite.limits import block_kernel
    from ceflow.spec import Mlp

    kernel, x = block_kernel(Mlp(widths=(float("inf"),) * 4), "ntk"), images(LARGE)

    def in_memory() -> None:
        jax.block_until_ready(kernel(x[:SMALL]))

    in_memory()
    write_tiles(f"{folder}/warm", kernel, x[:SMALL])
    before = [timed(in_memory) for _ in range(RUNS)]
    tiles = timed(lambda: write_tiles(f"{folder}/kernel", kernel, x))
    runs = [*before, *(timed(in_memory) for _ in range(RUNS))]
    small = map(statistics.median, zip(*runs, strict=True))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(*(1e9 * each / SMALL**2 for each in small), *(1e9 * each / LARGE**2 for each in tiles))
    print(peak)


def main() -> None:
    """Print both kernels' costs of an entry, their ratio, and the memory."""
    if not IMAGES.is_dir():
        print(f"  skipped: {IMAGES} is absent (Debian: dataset-fashion-mnist)")
        return
    with tempfile.TemporaryDirectory() as folder:
        line = [sys.executable, "-m", "benchmarks.tiles", folder]
        printed = subprocess.check_output(line, text=True).split()
    *costs, peak = map(float, printed)
    for name, small, large in zip(("wall", "CPU"), costs[:2], costs[2:], strict=True):
        print(
            f"  {name} time of an entry: {small:.1f} ns in memory (N = {SMALL}), {large:.1f} ns"
            f" in tiles to Zarr (N = {LARGE}); ratio {large / small:.2f}"
        )
    print(f"  {costs[2] * LARGE**2 / 1e9:.1f} s, and {peak / 1e9:.2f} GB at most")


if __name__ == "__main__":
    measure(sys.argv[1])

"""The analytic kernel of 20,000 Fashion-MNIST images to Zarr: memory, seconds, cost of an entry.

Debian's package `dataset-fashion-mnist` holds the images. Each measurement is a process of its own,
and its memory the peak of the whole process.
"""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

IMAGES = Path("/usr/share/datasets/fashion-mnist")
SIZES = (4000, 20_000)
TILE = 2048


def images(count: int):
    """The first images of the training set, float32."""
    import numpy as np

    from ceflow.data import load
    from ceflow.seeding import Seed
    from ceflow.spec import Idx

    data = load(Idx(path=str(IMAGES), train=count, test=1), Path(), Seed(0))
    return data.train.x.astype(np.float32)


def measure(count: int, path: str) -> None:
    """Print seconds and peak resident bytes: in memory for an empty path, else to a store there."""
    import jax

    from ceflow.kernels import write_tiles
    from ceflow.kernels.infinite.limits import block_kernel
    from ceflow.spec import Mlp

    kernel, x = block_kernel(Mlp(widths=(float("inf"),) * 4), "ntk"), images(count)
    if path:
        write_tiles(f"{path}/warm", kernel, x[:TILE], tile=TILE)
    else:
        jax.block_until_ready(kernel(x))
    start = time.perf_counter()
    if path:
        write_tiles(f"{path}/kernel", kernel, x, tile=TILE)
    else:
        jax.block_until_ready(kernel(x))
    took = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(took, peak)


def main() -> None:
    """Print both kernels' figures, and the ratio of their costs of an entry."""
    if not IMAGES.is_dir():
        print(f"  skipped: {IMAGES} is absent (Debian: dataset-fashion-mnist)")
        return
    costs = []
    for count in SIZES:
        with tempfile.TemporaryDirectory() as folder:
            path = folder if count == SIZES[-1] else ""
            line = [sys.executable, "-m", "benchmarks.tiles", str(count), path]
            took, peak = map(float, subprocess.check_output(line, text=True).split())
        costs.append(took / count**2)
        where, each = ("in tiles to Zarr" if path else "in memory"), 1e9 * costs[-1]
        print(f"  N = {count}, {where}: {took:.2f} s, {peak / 1e9:.2f} GB, {each:.1f} ns an entry")
    print(f"  cost of an entry, tiles over memory: {costs[1] / costs[0]:.2f}")


if __name__ == "__main__":
    measure(int(sys.argv[1]), sys.argv[2])

"""Run the measurements named on the command line, or all of them."""

import sys
from importlib import import_module

ALL = (
    "startup",
    "variance",
    "kernels",
    "kernels_analytic",
    "images",
    "tiles",
    "dynamics",
    "bottlenecks",
    "forecasts",
    "sweeps",
    "training",
)

for name in sys.argv[1:] or ALL:
    print(f"== {name}")
    import_module(f"benchmarks.{name}").main()

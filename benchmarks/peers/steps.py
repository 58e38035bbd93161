"""What both peers of a benchmark of steps answer: seconds, and the memory that a process holds."""

import sys
import time
from pathlib import Path

STEPS = 2
"""Steps of a large network that are taken in one call, as a training of ceflow does."""


def serve(call, steps=1):
    """Answer as benchmarks/peer.py asks: the seconds of the first call, and the bytes held at most
    in the next two; then the seconds of a step for each line of stdin, by a call of some steps."""
    first = seconds(call)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    call()
    call()
    print(first, peak(), flush=True)
    for _ in sys.stdin:
        print(seconds(call) / steps, flush=True)


def seconds(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak():
    """Bytes held at most since the peak was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

"""What both peers of a benchmark of steps answer: seconds, and the memory that a process holds."""

import sys
import time
from pathlib import Path


def serve(step):
    """Answer as benchmarks/peer.py asks: the seconds of the first step, and the bytes held at most
    in the next two; then the seconds of a step for each line of stdin."""
    first = seconds(step)
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from here on
    step()
    step()
    print(first, peak(), flush=True)
    for _ in sys.stdin:
        print(seconds(step), flush=True)


def seconds(step):
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


def peak():
    """Bytes held at most since the peak was reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith("VmHWM")).split()[1])

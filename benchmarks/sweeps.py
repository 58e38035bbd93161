"""A sweep of many small networks, each of another width: what its runs take together."""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUNS = 300

SPEC = """
[data]
source = "gaussian"
inputs = 3
outputs = 1
train = 12
test = 4

[model]
type = "mlp"
widths = [9]
activation = "tanh"

[stages.empirical]
type = "kernel"
method = "empirical"
draws = 3
spectrum = true

[stages.alpha]
type = "variance"
ratios = [0.1, 0.5, 1.0]

[stages.flow]
type = "flow"
time = 1.0
points = 5
record = ["drift"]

[stages.limit]
type = "kernel"
spectrum = true

[sweep]
"model.widths" = {}
"""


def main() -> None:
    """Print runs, seconds, memory and maps of a process of its own."""
    line = [sys.executable, "-m", "benchmarks.sweeps", str(RUNS)]
    done = subprocess.run(line, capture_output=True, check=True, text=True)
    print(done.stdout.splitlines()[0])


def measure(count: int) -> None:
    """Print the same of this process, and in a second line what there was after each run."""
    import ceflow
    from ceflow.events import Event, StageFinished
    from ceflow.spec import loads

    runs: list[dict[str, float]] = []

    def observe(event: Event) -> None:
        if isinstance(event, StageFinished) and event.stage.endswith(" limit"):
            runs.append({"maps": maps(), "resident": resident()})

    document = loads(SPEC.format([[width] for width in range(2, count + 2)]))
    started = time.perf_counter(), time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        ceflow.run(document, folder, observe=observe)
    wall, cpu = time.perf_counter() - started[0], time.process_time() - started[1]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    most = max(run["maps"] for run in runs)
    print(f"  {count} runs: {wall:.0f} s, {cpu:.0f} s of CPU, {peak:.2f} GB, {most:,.0f} maps")
    print(json.dumps(runs))


def maps() -> int:
    """Memory maps of this process."""
    return Path("/proc/self/maps").read_bytes().count(b"\n")


def resident() -> float:
    """Bytes that it has in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    measure(int(sys.argv[1]))

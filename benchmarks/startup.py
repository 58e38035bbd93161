"""How long the commands take that compute nothing."""

import subprocess
import sys

from benchmarks.timing import median

COMMANDS = (
    ("--help",),
    ("check", "examples/quickstart.toml"),
    ("plan", "examples/quickstart.toml"),
)


def main() -> None:
    """Print the median wall-clock time of each, as a whole process."""
    for command in COMMANDS:
        line = [sys.executable, "-m", "ceflow", *command]
        took = median(lambda line=line: subprocess.run(line, capture_output=True, check=True), 7)
        print(f"  ceflow {' '.join(command)}: {took:.3f} s")

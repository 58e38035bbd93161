"""Seconds that `ceflow plan` forecasts against those that the run then took, on every example."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

EXAMPLES = Path(__file__).parent.parent / "examples"


def ceflow(*arguments: str, cache: str) -> str:
    """Run a command with a compilation cache of its own, empty as on a first run."""
    environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": cache}
    line = [sys.executable, "-m", "ceflow", *arguments]
    return subprocess.run(line, capture_output=True, check=True, text=True, env=environment).stdout


def main() -> None:
    """Print both, stage by stage, and their ratio; the promise is a factor of 3."""
    for path in sorted(EXAMPLES.rglob("*.toml")):
        with tempfile.TemporaryDirectory() as folder:
            plan = json.loads(ceflow("plan", str(path), "--json", cache=folder))["stages"]
            ceflow("run", str(path), "--out", f"{folder}/run", "--json", cache=folder)
            facts = json.loads(Path(folder, "run", "run.json").read_text())["stages"]
        for name, fact in facts.items():
            forecast, took = plan[name]["seconds"], fact["seconds"]
            print(
                f"  {path.stem} {name}: {forecast:.2f} s, took {took:.2f} s, {forecast / took:.2f}"
            )
        total = sum(plan[name]["seconds"] for name in facts)
        took = sum(fact["seconds"] for fact in facts.values())
        print(f"  {path.stem} in all: {total:.2f} s, took {took:.2f} s, {total / took:.2f}")

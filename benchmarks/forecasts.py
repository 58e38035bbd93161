"""What `ceflow plan` forecasts against what the run then took, stage by stage: the promise is a
factor of 2.

    python -m benchmarks.forecasts [GROUP]... [NAME]...

The groups are `examples` and those of `benchmarks.forecast_cases`.

Each run has a process of its own and an empty compilation cache (cold), then one that is filled
(warm). Seconds are those of the clock and of the processor. The machine may be at work on something
else: `load` is by how much a fixed loop took longer than its best.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.forecast_cases import CASES

EXAMPLES = Path(__file__).parent.parent / "examples"


def main(chosen: tuple[str, ...] = ()) -> None:
    """Print both, and their ratios, of all cases or of those whose group or name is chosen."""
    for group, name, text in _cases():
        if not chosen or {group, name} & set(chosen):
            for line in _compared(name, text):
                print(line, flush=True)


def _cases() -> Iterator[tuple[str, str, str]]:
    from ceflow.spec import Document, dumps, load

    for path in sorted(EXAMPLES.rglob("*.toml")):
        if not path.stem.endswith("-paper"):
            yield "examples", path.stem, dumps(load(path))
    for group, cases in CASES.items():
        for name, tree in cases.items():
            yield group, name, dumps(Document.model_validate(tree))


def _compared(name: str, text: str) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder, "spec.toml")
        spec.write_text(text)
        line = ("-m", "ceflow", "plan", str(spec), "--json", *_bound(text))
        plan = json.loads(_output(*line))["stages"]
        load = _load()
        cold, warm = (
            json.loads(_output("-m", "benchmarks.forecasts", "measure", str(spec), cache=folder))
            for _ in range(2)
        )
    for stage in sorted(cold, key=lambda stage: -cold[stage]["wall"]):
        took = cold[stage]
        said = plan.pop(stage.rpartition(" ")[2], None)
        if said is None:
            continue  # another run of a sweep took longer, and the plan says the most
        memory = took.get("memory") or float("nan")
        yield (
            f"  {name} {stage}: {said['seconds']:.1f} s said, {took['wall']:.1f} taken"
            f" ({took['cpu']:.1f} of CPU; warm {warm[stage]['wall']:.1f},"
            f" {warm[stage]['cpu']:.1f} of CPU; load {load:.1f}),"
            f" {said['seconds'] / took['cpu']:.2f};"
            f" {said['memory'] / 1e6:.0f} MB said, {memory / 1e6:.0f} taken,"
            f" {said['memory'] / memory:.2f}  {took.get('solver', '')} {took.get('steps', '')}"
        )


def _bound(text: str) -> list[str]:
    """The option that binds the name of an external model; none for others."""
    name = tomllib.loads(text)["model"].get("name")
    return ["--module", f"{name}=benchmarks.external_modules:{name}"] if name else []


def _output(*arguments: str, cache: str = "") -> str:
    environment = dict(os.environ)
    if cache:
        environment |= {
            "JAX_COMPILATION_CACHE_DIR": cache,
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        }
    line = [sys.executable, *arguments]
    return subprocess.run(
        line, stdout=subprocess.PIPE, check=True, text=True, env=environment, timeout=300
    ).stdout


def _load() -> float:
    """By how much a fixed loop took longer on the clock than on the processor."""
    started = time.perf_counter(), time.process_time()
    sum(range(20_000_000))
    return (time.perf_counter() - started[0]) / (time.process_time() - started[1])


def measure(spec: str) -> None:
    """Run a spec in this process, and print what each of its stages took."""
    import ceflow
    from benchmarks.external_modules import MODULES
    from ceflow.events import Event, StageFinished, StageStarted

    clocks: dict[str, tuple[float, float]] = {}
    taken: dict[str, dict[str, Any]] = {}

    def observe(event: Event) -> None:
        now = time.perf_counter(), time.process_time()
        if isinstance(event, StageStarted):
            clocks[event.stage] = now
        if isinstance(event, StageFinished):
            wall, cpu = (b - a for a, b in zip(clocks[event.stage], now, strict=True))
            taken[event.stage] = {"wall": wall, "cpu": cpu}

    with tempfile.TemporaryDirectory() as folder:
        document = ceflow.load(spec)
        name = document.model.module_name
        modules = {name: MODULES[name]} if name else {}
        run = ceflow.run(document, folder, observe=observe, modules=modules)
        if document.sweep is None:
            facts = json.loads(Path(folder, "run.json").read_text())["stages"]
            for name, took in taken.items():
                values = run.results[name]
                took |= {"memory": facts[name]["memory"], "solver": values.get("solver", "")}
                took["steps"] = str(values.get("steps", ""))
    print(json.dumps(taken))


if __name__ == "__main__":
    if sys.argv[1:2] == ["measure"]:
        measure(sys.argv[2])
    else:
        main(tuple(sys.argv[1:]))

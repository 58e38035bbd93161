"""The forecast of `ceflow plan` against what the run then used, on every example."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ceflow.spec import Cifar10, Document, Idx, dumps, load, variants

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").rglob("*.toml"))
RUN = [path for path in EXAMPLES if not path.stem.endswith("-paper")]
"""Those that are for a machine like this."""
SLOW = {
    "fig2-neural-mean-kernel",
    "infinite",
    "fig9-ntk-evolution",
    "lemma-1",
    "linearised",
    "quickstart",
    "theorem-1",
}
SLOW |= {path.stem for path in RUN if path.parent.name == "bottlenecks"}


def single_runs() -> Iterator[tuple[str, Document]]:
    """Every example by its name; of a sweep the first run and the last."""
    for path in RUN:
        document = load(path)
        named = {path.stem: document}
        if document.sweep:
            named = {f"{path.stem} {name}": each for name, each in variants(document).items()}
        yield from list(named.items())[:: max(1, len(named) - 1)]


RUNS = list(single_runs())

FACTOR = 2.0
"""What the forecast promises for memory and disk."""


def ceflow(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "ceflow", *arguments], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


CASES = [
    pytest.param(run, id=run[0], marks=pytest.mark.slow if run[0].split()[0] in SLOW else ())
    for run in RUNS
]


@pytest.fixture(scope="module", params=CASES)
def used(request, tmp_path_factory):
    """The forecast of each stage, and what its run says that it used."""
    name, document = request.param
    if isinstance(document.data, Idx | Cifar10) and "CEFLOW_DATA" not in os.environ:
        pytest.skip("needs the real data: set CEFLOW_DATA")
    folder = tmp_path_factory.mktemp(name)
    path, out = folder / "spec.toml", folder / "run"
    path.write_text(dumps(document))
    ceflow("run", str(path), "--out", str(out), "--json")
    plan = json.loads(ceflow("plan", str(path), "--json"))
    return plan["stages"], json.loads((out / "run.json").read_text())["stages"], out


def test_memory_is_within_its_factor(used):
    forecasts, facts, _ = used
    if any(fact["memory"] is None for fact in facts.values()):
        pytest.skip("this system does not tell a process its peak memory")
    for name, fact in facts.items():
        ratio = forecasts[name]["memory"] / fact["memory"]
        assert 1 / FACTOR < ratio < FACTOR, f"{name}: {ratio:.2f} of {fact['memory']:,} bytes"


def test_disk_is_within_its_factor(used):
    forecasts, facts, out = used
    for name in facts:
        stores = [out / "arrays" / f"{name}.zarr", *(out / "arrays").glob(f"{name}.*.zarr")]
        files = {path for store in stores for path in store.rglob("*") if path.is_file()}
        size = sum(path.stat().st_size for path in files)
        if size or forecasts[name]["disk"]:
            ratio = forecasts[name]["disk"] / size
            assert 1 / FACTOR < ratio < FACTOR, f"{name}: {ratio:.2f} of {size:,} bytes"

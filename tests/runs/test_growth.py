"""What a sweep compiles and keeps does not grow with its runs."""

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

import ceflow
from ceflow.runs import machine
from ceflow.spec import loads

DATA = '[data]\nsource = "gaussian"\ninputs = 3\ntrain = 6\ntest = 2\n'
MLP = '[model]\ntype = "mlp"\nwidths = [5]\nactivation = "tanh"\n'
ENSEMBLE = '[model]\ntype = "ensemble"\nmultiplicity = 3\nmember = {widths = [4]}\n'
INFINITE = '[model]\ntype = "mlp"\nwidths = [inf]\n'
BOTTLENECK = (
    '[model]\ntype = "bottleneck"\nsize = 2\n'
    "encoder = {widths = [inf]}\ndecoder = {widths = [inf]}\n"
)
KERNEL = '[stages.s]\ntype = "kernel"\n'
FLOW = '[stages.s]\ntype = "flow"\ntime = 0.1\npoints = 2\n'
TRAIN = '[stages.s]\ntype = "train"\nsteps = 3\nlearning_rate = 0.01\nwidth = 50\n'
VARIANCE = '[stages.s]\ntype = "variance"\nratios = [1.0]\ndraws = 100\n'

REPEATED = {
    "empirical": MLP + KERNEL + 'method = "empirical"\noutputs = "full"\ndraws = 2\n',
    "mean": ENSEMBLE + KERNEL + 'method = "mean"\ndraws = 2\n',
    "variance": MLP + VARIANCE,
    "flow": MLP + FLOW + 'record = ["drift"]\n',
}
REPEATED_SLOWLY = {
    "tiles": MLP + KERNEL + 'method = "empirical"\ntile = 4\n',
    "analytic": INFINITE + KERNEL + "tile = 4\n",
    "conditional": MLP.replace("5", "600") + KERNEL + 'method = "empirical"\ndraws = 2\n',
    "ridge": MLP + KERNEL + 'method = "empirical"\nridge = 0.1\n',
    "derivatives": MLP + FLOW + 'record = ["derivatives"]\n',
    "replicas": MLP + FLOW + "replicas = 2\n",
    "linearised": MLP + FLOW + 'engine = "linearised"\n',
    "kernel": MLP + FLOW + 'engine = "kernel"\n',
    "closed form": INFINITE + FLOW,
    "features": BOTTLENECK + FLOW + "width = 50\n",
    "training": BOTTLENECK + TRAIN,
    "history": BOTTLENECK + TRAIN + 'engine = "history"\n',
}

WIDTHS = {
    "analytic": (KERNEL + "spectrum = true\n", 0),
    "empirical": (KERNEL + 'method = "empirical"\ndraws = 2\n', 1),  # the NTK
    "variance": (VARIANCE, 1),  # an entry of it, of many networks
    "flow": (FLOW, 4),  # the NTK, the start, steps, outputs
}
"""Stages, and the programs that a network of another width may take."""

compiled: list[str] = []
"""What was compiled, by its order; a listener cannot be taken back."""


def _count(event: str, duration_secs: float, **kwargs: str | int) -> None:
    if "backend_compile" in event:
        compiled.append(event)


jax.monitoring.register_event_duration_secs_listener(_count)


def programs_of_second(text, folder):
    """Programs that the second run of a sweep compiles."""
    counts = {}

    def observe(event):
        counts.setdefault(event.stage.partition(" ")[0], len(compiled))

    ceflow.run(loads(text), folder, observe=observe)
    return len(compiled) - list(counts.values())[1]


@pytest.mark.parametrize(
    "text",
    [
        *(pytest.param(text, id=name) for name, text in REPEATED.items()),
        *(
            pytest.param(text, id=name, marks=pytest.mark.slow)
            for name, text in REPEATED_SLOWLY.items()
        ),
    ],
)
def test_a_shape_is_compiled_once(text, tmp_path):
    assert programs_of_second(DATA + text + "[sweep]\nseed = [1, 2]\n", tmp_path) == 0


@pytest.mark.parametrize("stage", WIDTHS)
def test_another_width_takes_few_programs(stage, tmp_path):
    text, most = WIDTHS[stage]
    swept = f'{DATA}{MLP}{text}[sweep]\n"model.widths" = [[6], [7]]\n'
    assert programs_of_second(swept, tmp_path) <= most


def test_programs_are_let_go_where_they_are_many(monkeypatch):
    jax.jit(lambda x: x + 1)(1.0)
    forgotten = []
    monkeypatch.setattr(jax, "clear_caches", lambda: forgotten.append(True))
    monkeypatch.setattr(gc, "collect", lambda: 0)
    machine.let_go()
    assert not forgotten
    monkeypatch.setattr(machine, "MOST_MAPS", 10)
    monkeypatch.setattr(machine, "MOST_STAGES", 1)  # where maps are not counted
    machine.let_go()
    assert forgotten


@pytest.mark.parametrize(
    ("before", "within"),
    [
        ((700, 10, 10), machine.COLLECT_AFTER),
        ((0, 1, 1), (0, 1, 1)),
        ((10**6, 9, 9), (10**6, 9, 9)),
    ],
)
def test_a_run_collects_garbage_less_often_and_leaves_the_thresholds(before, within):
    suites = gc.get_threshold()
    gc.set_threshold(*before)
    try:
        with machine.fewer_collections():
            assert gc.get_threshold() == within
        assert gc.get_threshold() == before
    finally:
        gc.set_threshold(*suites)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="counts maps as Linux tells them")
def test_maps_and_memory_of_a_run(tmp_path):
    """In a process of its own, of the runs after the first 5: about 200 maps and 15 MB each, which
    are given back where there are 9,000."""
    line = [sys.executable, "-m", "benchmarks.sweeps", "25"]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root), "XDG_CACHE_HOME": str(tmp_path)}
    done = subprocess.run(
        line, cwd=root, env=environment, capture_output=True, text=True, check=True
    )
    runs = json.loads(done.stdout.splitlines()[-1])
    first, last = runs[4], runs[-1]
    assert (last["maps"] - first["maps"]) / 20 < 300
    assert (last["resident"] - first["resident"]) / 20 < 25e6

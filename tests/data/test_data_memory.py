"""What data take of memory: in every forecast of a stage that reads them, and as it is then."""

import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ceflow
from ceflow.runs import prepare
from ceflow.spec import (
    Bottleneck,
    Document,
    Flow,
    Gaussian,
    Kernel,
    Mlp,
    Npz,
    SpecError,
    Train,
    Variance,
    dumps,
)

INPUTS, TRAIN = 20_000, 1000
DATA = Gaussian(inputs=INPUTS, train=TRAIN)
WIDE, NARROW = Mlp(widths=[math.inf]), Mlp(widths=[3])
BOTTLENECK = Bottleneck(encoder=WIDE, decoder=WIDE, size=2)

READERS: dict[str, tuple[Any, Any]] = {
    "kernel": (WIDE, Kernel()),
    "drawn kernel": (NARROW, Kernel(method="empirical")),
    "mean kernel": (NARROW, Kernel(method="mean")),
    "kernel in tiles": (WIDE, Kernel(tile=64)),
    "flow": (WIDE, Flow(time=1.0)),
    "flow of parameters": (NARROW, Flow(time=1.0)),
    "flow of features": (BOTTLENECK, Flow(time=1.0, width=10)),
    "train": (BOTTLENECK, Train(steps=1, width=10)),
    "variance": (NARROW, Variance(inputs_law="data")),
}


def memory(model: Any, stage: Any, data: Any = DATA) -> float:
    plan = ceflow.compile(Document(data=data, model=model, stages={"s": stage}))
    return prepare(plan).needs()["s"].memory


@pytest.mark.parametrize("name", READERS)
def test_a_stage_that_reads_data_needs_room_for_them(name: str):
    model, stage = READERS[name]
    few = memory(model, stage, DATA.model_copy(update={"inputs": 10}))
    assert memory(model, stage) - few >= 8 * TRAIN * (INPUTS - 10)


def test_a_stage_that_reads_none_needs_none():
    assert memory(NARROW, Variance()) == memory(
        NARROW, Variance(), DATA.model_copy(update={"inputs": 10**9})
    )


@pytest.mark.parametrize("name", READERS)
def test_data_that_do_not_fit_are_refused_with_their_key(
    name: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("ceflow.runs.machine.memory", lambda: 1e12)
    model, stage = READERS[name]
    data = DATA.model_copy(update={"inputs": 10**8, "train": 2000})
    with pytest.raises(SpecError) as caught:
        ceflow.run(Document(data=data, model=model, stages={"s": stage}))
    assert caught.value.faults[0].code == "CE401"
    assert "lower" in caught.value.faults[0].help


@pytest.mark.slow
@pytest.mark.parametrize("train", [10, 1000])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("name", ["kernel", "drawn kernel", "flow"])
def test_memory_is_as_forecast(name: str, dtype: str, train: int, tmp_path: Path):
    """Within a factor of 2, as every example's is; of 10 examples of 240 MB no tenth of that."""
    model, stage = READERS[name]
    x = np.random.default_rng(0).normal(size=(1000, 30_000)).astype(dtype)
    np.savez(tmp_path / "a.npz", x=x, y=x[:, :1])
    document = Document(data=Npz(path="a.npz", train=train), model=model, stages={"s": stage})
    path, out = tmp_path / "spec.toml", tmp_path / "run"
    path.write_text(dumps(document))
    command = [sys.executable, "-m", "ceflow"]
    subprocess.run([*command, "run", str(path), "--out", str(out)], check=True)
    planned = subprocess.run(
        [*command, "plan", str(path), "--json"], capture_output=True, check=True
    )
    forecast = json.loads(planned.stdout)["stages"]["s"]["memory"]
    used = json.loads((out / "run.json").read_text())["stages"]["s"]["memory"]
    assert 0.5 < forecast / used < 2

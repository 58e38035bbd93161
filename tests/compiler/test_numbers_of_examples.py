"""Examples and steps that a document numbers are checked against what the data have."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ceflow.compiler import compile
from ceflow.spec import Bottleneck, Document, Flow, Gaussian, Mlp, Npz, SpecError, Train, Variance

MLP = Mlp(widths=[4])
HALF = Mlp(widths=[float("inf")], weight_variance=1.0)
NARROW = Bottleneck(size=2, encoder=HALF, decoder=HALF)
FLOW = {"time": 1.0, "record": ["drift"]}

REFUSED: dict[str, tuple[Any, Any, str, str]] = {
    "entries": (
        MLP,
        Flow(entries=[[0, 99]], **FLOW),
        "entries",
        "no training example 99: they",
    ),
    "one beyond": (MLP, Flow(entries=[[12, 0]], **FLOW), "entries", "no training example 12: they"),
    "moments of steps": (NARROW, Train(steps=5, moments=[9]), "moments", "the last step, 5"),
    "moments of epochs": (NARROW, Train(epochs=2, moments=[9]), "moments", "the last step, 2"),
    "batch": (NARROW, Train(steps=5, batch=13), "batch", "a batch of 13 examples out of 12"),
}


def file_of(folder: Path, rows: int) -> Npz:
    """Data that say themselves how many they are."""
    x = np.random.default_rng(0).normal(size=(rows, 3))
    np.savez(folder / "d.npz", x=x, y=x[:, :1])
    return Npz(path=str(folder / "d.npz"), targets="raw")


def faults(data: Any, model: Any, stage: Any) -> list[Any]:
    with pytest.raises(SpecError) as error:
        compile(Document(data=data, model=model, stages={"it": stage}))
    return list(error.value.faults)


@pytest.mark.parametrize("said", [True, False], ids=["in the document", "in the data"])
@pytest.mark.parametrize("name", REFUSED)
def test_beyond_the_data_is_a_fault(name: str, said: bool, tmp_path: Path):
    model, stage, key, message = REFUSED[name]
    data = Gaussian(inputs=3, train=12) if said else file_of(tmp_path, 12)
    (fault,) = faults(data, model, stage)
    assert fault.path == ("stages", "it", key)
    assert message in fault.message


@pytest.mark.parametrize("key", ["entries", "moments"])
def test_numbers_below_0_are_faults(key: str):
    with pytest.raises(SpecError, match="CE10"):
        Flow(entries=[[0, -1]], **FLOW) if key == "entries" else Train(steps=5, moments=[-1])


def test_an_off_diagonal_entry_needs_two_examples(tmp_path: Path):
    stage = Variance(inputs_law="data", entries="off-diagonal")
    (fault,) = faults(file_of(tmp_path, 1), MLP, stage)
    assert fault.path == ("stages", "it", "entries")

"""What only compiling a run of a sweep tells stands at the swept value that brings it about."""

import numpy as np
import pytest

import ceflow
from ceflow.runs import machine, prepare
from ceflow.spec import Fault, SpecError
from ceflow.spec.sweep import seen_from_sweep

BASE = """\
[data]
source = "npz"
path = "a.npz"
[model]
type = "mlp"
widths = [4]
[stages.k]
type = "kernel"
[sweep]
"""


@pytest.fixture(autouse=True)
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, count in (("a", 5), ("b", 3)):
        np.savez(f"{name}.npz", x=np.eye(count), y=np.ones(count))


def faults_of(sweep: str, base: str = BASE) -> list[Fault]:
    with pytest.raises(SpecError) as caught:
        prepare(ceflow.compile(ceflow.loads(base + sweep)))
    return list(caught.value.faults)


@pytest.mark.parametrize(
    ("sweep", "places"),
    [
        ('"data.path" = ["a.npz", "b.npz", "gone.npz"]', [("CE301", ("data.path", 2))]),
        (
            '"data.path" = ["no.npz", "a.npz", "gone.npz"]\nseed = [0, 1]',
            [("CE301", ("data.path", 0)), ("CE301", ("data.path", 2))],
        ),
        ('"data.train" = [3, 4, 6]', [("CE304", ("data.train", 2))]),
        (
            '"data.path" = ["a.npz", "b.npz"]\n"data.train" = [5, 5]\nmode = "zip"',
            [("CE304", ("data.train", 1))],
        ),
        ('"data.targets" = ["raw", "signed"]\nseed = [0, 1]', [("CE202", ("data.targets", 1))]),
    ],
)
def test_a_fault_stands_at_the_value_that_brings_it_about(sweep, places):
    faults = faults_of(sweep)
    assert [(fault.code, fault.path[1:3]) for fault in faults] == places
    for fault in faults:
        assert fault.path[0] == "sweep"
        assert fault.place is not None
        assert "[sweep]" not in fault.place.text


def test_a_fault_elsewhere_in_the_document_is_told_at_the_value():
    document = ceflow.loads(BASE + 'seed = [0, 1]\n"model.widths" = [[3], [4]]')
    names = ["a", "b", "c", "d"]  # seeds 0 0 1 1, widths 3 4 3 4
    fault = Fault("CE302", "it is wrong", ("data", "path"))
    cases = [
        ("bd", ("sweep", "model.widths", 1), "data.path: it is wrong"),
        ("ab", ("sweep", "seed", 0), "data.path: it is wrong"),
        ("b", ("data", "path"), "in the run b: it is wrong"),
        ("abcd", ("data", "path"), "it is wrong"),
    ]
    for having, path, message in cases:
        runs = {name: [fault] if name in having else [] for name in names}
        (seen,) = seen_from_sweep(document, runs)
        assert (seen.path, seen.message) == (path, message)


GB = """\
[data]
source = "gaussian"
inputs = 3
train = 10
[model]
type = "mlp"
widths = [4]
[stages.k]
type = "kernel"
[sweep]
"""


def at(index: int, train: int) -> tuple[tuple, str]:
    """A fault at the swept value, and what it says of the memory: what a run with it alone says."""
    (fault,) = faults_of(
        "", GB.replace("train = 10\n", f"train = {train}\n").replace("[sweep]", "")
    )
    return ("sweep", "data.train", index), f"stages.k: {fault.message}"


@pytest.mark.parametrize(
    ("sweep", "values"),
    [
        ('"data.train" = [10, 80000, 90000]', [(1, 80000), (2, 90000)]),
        ('"data.train" = [80000, 90000]', [(0, 80000), (1, 90000)]),
        ('"data.train" = [10, 80000]\nseed = [0, 1]', [(1, 80000)]),
        ('"data.train" = [10, 80000]\n"data.inputs" = [3, 5]', [(1, 80000)]),
    ],
)
def test_memory_that_a_run_lacks_is_told_at_the_swept_value(monkeypatch, sweep, values):
    monkeypatch.setattr(machine, "memory", lambda: 4e9)
    faults = faults_of(sweep, GB)
    assert [(fault.path, fault.message) for fault in faults] == [at(*value) for value in values]
    assert {fault.code for fault in faults} == {"CE401"}
    assert all(fault.place and fault.place.text == sweep.splitlines()[0] for fault in faults)


def test_memory_that_all_runs_lack_is_told_once(monkeypatch):
    monkeypatch.setattr(machine, "memory", lambda: 4e9)
    (fault,) = faults_of('seed = [0, 1]\n"data.train" = [80000, 90000]', GB)
    assert fault.path == ("stages", "k")
    assert fault.message.startswith("in the run seed=0,train=80000 and 3 others: stage 'k' would")

"""Meaning of flow stages and [collect] tables: each fault with its place and its sentence."""

import math
from typing import Any

import pytest

import ceflow
from ceflow.spec import (
    Circle,
    Collect,
    Digits,
    Document,
    Ensemble,
    Flow,
    Gaussian,
    Kernel,
    Mlp,
    Resnext,
    Search,
    SpecError,
    Stop,
    Sweep,
    dumps,
    loads,
)

FINITE, INFINITE = Mlp(widths=(8, 8)), Mlp(widths=(math.inf, math.inf))
MIXED = Mlp(widths=(8, math.inf))
END: dict[str, Any] = {"time": 1.0}


def document(stages, **keys):
    return Document(
        **({"model": FINITE, "data": Gaussian(inputs=2, train=4)} | keys), stages=stages
    )


SOUND = {
    "the least": ({"f": Flow(time=1)}, {}),
    "everything watched": (
        {"f": Flow(**END, record=["drift", "kernel", "alignment", "spectrum", "derivatives"])},
        {},
    ),
    "entries": ({"f": Flow(**END, record=["drift"], entries=[[0, 3], [1, 1]])}, {}),
    "infinite time": ({"f": Flow(time=math.inf)}, {"model": INFINITE}),
    "infinite time of a finite network": ({"f": Flow(time=math.inf, engine="closed-form")}, {}),
    "a kernel": ({"k": Kernel(method="mean"), "f": Flow(**END, kernel="k")}, {}),
    "a stop of the limit": ({"f": Flow(**END, stop=Stop(train_loss=1))}, {"model": INFINITE}),
    "classes": ({"f": Flow(**END, loss="cross-entropy")}, {"data": Digits()}),
    "an answer": ({"s": Search(alpha=3.0), "f": Flow(**END, model="s.dual")}, {}),
    "a start": ({"f": Flow(**END), "g": Flow(**END, start="f", engine="linearised")}, {}),
    "an ensemble": ({"f": Flow(**END)}, {"model": Ensemble(multiplicity=2, member=FINITE)}),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_flow_has_no_faults_and_can_be_written(case):
    stages, rest = SOUND[case]
    sound = document(stages, **rest)
    assert sound.faults() == []
    assert loads(dumps(sound)) == sound
    assert loads(dumps(sound, "json"), syntax="json") == sound


def test_the_engine_is_the_natural_one():
    stop = Stop(train_loss=1.0)
    assert Flow(**END).engine_of(FINITE) == "parameters"
    assert Flow(**END, kernel="k").engine_of(FINITE) == "closed-form"
    assert Flow(**END).engine_of(INFINITE) == "closed-form"
    assert Flow(**END, stop=stop).engine_of(INFINITE) == "kernel"
    assert Flow(**END, loss="cross-entropy").engine_of(INFINITE) == "kernel"
    assert Flow(**END, engine="linearised").engine_of(FINITE) == "linearised"


def test_moments_are_the_start_the_end_and_what_was_asked_for():
    assert Flow(time=2.0, points=4).moments() == [0.0, 0.5, 1.0, 1.5, 2.0]
    assert Flow(time=2.0, times=[0.1, 2.0]).moments() == [0.0, 0.1, 2.0]
    assert Flow(time=math.inf).moments() == [0.0, math.inf]
    assert Flow(time=0.3, points=3).moments()[-1] == 0.3


K = {"k": Kernel(method="empirical", outputs="full")}
FAULTY = {
    "no data": (Flow(**END), {"data": None}, "CE202", (), "a flow stage needs examples"),
    "no weights": (
        Flow(**END, engine="parameters"),
        {"model": INFINITE},
        "CE203",
        ("engine",),
        "a network with an infinite layer has no weights to follow",
    ),
    "batch normalisation": (
        Flow(**END),
        {"model": Resnext(blocks=[1], base_width=4), "data": Digits()},
        "CE203",
        (),
        "a network with batch normalisation has no gradient flow here",
    ),
    "no closed form": (
        Flow(**END, engine="closed-form", loss="cross-entropy"),
        {"data": Digits()},
        "CE203",
        ("engine",),
        "only the mse has a flow in closed form",
    ),
    "replicas of a limit": (
        Flow(**END, replicas=2),
        {"model": INFINITE},
        "CE202",
        ("replicas",),
        "the limit of infinite width draws no networks",
    ),
    "a kernel of its own": (
        Flow(**END, kernel="e", engine="parameters"),
        {},
        "CE202",
        ("kernel",),
        "the engine 'parameters' computes its own kernel",
    ),
    "a kernel of all outputs": (
        Flow(**END, kernel="k"),
        {},
        "CE202",
        ("kernel",),
        "'k' has more than one number per entry",
    ),
    "a mixture": (
        Flow(**END),
        {"model": MIXED},
        "CE203",
        (),
        "a finite layer among infinite ones has no deterministic kernel",
    ),
    "for ever": (
        Flow(time=math.inf),
        {},
        "CE203",
        ("time",),
        "only the closed form reaches infinite time",
    ),
    "times that fall": (
        Flow(**END, times=[0.5, 0.2]),
        {},
        "CE104",
        ("times",),
        "times must increase",
    ),
    "times too late": (
        Flow(**END, times=[0.5, 2.0]),
        {},
        "CE202",
        ("times",),
        "times go beyond time = 1",
    ),
    "points beside times": (
        Flow(**END, times=[0.5], points=7),
        {},
        "CE202",
        ("points",),
        "points and times both say when to record",
    ),
    **{
        f"{key} without steps": (
            Flow(**END, engine="closed-form", **{key: value}),
            {},
            "CE202",
            (key,),
            f"a closed form takes no steps, so it has no {key}",
        )
        for key, value in {"solver": "rkc", "rtol": 1e-3, "atol": 1e-9, "steps": 10}.items()
    },
    "a stop without steps": (
        Flow(**END, engine="closed-form", stop=Stop(train_loss=1)),
        {},
        "CE202",
        ("stop",),
        "a closed form takes no steps, so it cannot stop early",
    ),
    "a stop for many": (
        Flow(**END, replicas=2, stop=Stop(train_loss=1)),
        {},
        "CE202",
        ("stop",),
        "replicas end together, so they cannot stop at a loss",
    ),
    "nothing moves": (
        Flow(**END, engine="linearised", record=["drift"]),
        {},
        "CE202",
        ("record",),
        "record records a changing NTK, and under the engine 'linearised' it is fixed",
    ),
    "no entry moves": (
        Flow(**END, engine="kernel", entries=[[0, 1]]),
        {},
        "CE202",
        ("entries",),
        "entries records a changing NTK, and under the engine 'kernel' it is fixed",
    ),
    "entries for the whole": (
        Flow(**END, record=["spectrum"], entries=[[0, 1]]),
        {},
        "CE202",
        ("entries",),
        "spectrum needs the whole NTK",
    ),
    "no such example": (
        Flow(**END, entries=[[0, 4]]),
        {},
        "CE202",
        ("entries",),
        "there is no training example 4: they are 0 to 3",
    ),
    "no such point": (
        Flow(**END, entries=[[7, 0]]),
        {"data": Circle(points=7)},
        "CE202",
        ("entries",),
        "there is no training example 7: they are 0 to 6",
    ),
    "no network to start from": (
        Flow(**END, start="f"),
        {"model": INFINITE},
        "CE202",
        ("start",),
        "the limit of infinite width starts from no network",
    ),
    "another start": (
        Flow(**END, start="f", replicas=3),
        {},
        "CE202",
        ("start",),
        "'f' has another model, or other replicas",
    ),
    "no classes": (
        Flow(**END, loss="cross-entropy"),
        {},
        "CE202",
        ("loss",),
        "cross-entropy needs classes, and the targets are numbers",
    ),
    "no such kernel": (
        Flow(**END, kernel="q"),
        {},
        "CE201",
        ("kernel",),
        "'q' is not a kernel stage above this one",
    ),
    "no such start": (
        Flow(**END, start="q"),
        {},
        "CE201",
        ("start",),
        "'q' is not a flow stage above this one",
    ),
}


@pytest.mark.parametrize("case", FAULTY)
def test_a_fault_of_a_flow_is_said_where_it_is(case):
    flow, rest, code, path, message = FAULTY[case]
    stages: dict[str, Any] = {"last": flow}
    if flow.start == "f":
        stages = {"f": Flow(**END), **stages}
    if flow.kernel in ("k", "e"):
        stages = {"k": K["k"], "e": Kernel(), **stages}
    (fault,) = document(stages, **rest).faults()
    assert (fault.code, fault.path, fault.message) == (code, ("stages", "last", *path), message)


VALUES = {
    "time = 0": "time must be above 0",
    "time = 1.0\npoints = 0": "points must be at least 1",
    "time = 1.0\nrtol = 2.0": "rtol must be below 1",
    "time = 1.0\natol = 0.0": "atol must be above 0",
    "time = 1.0\nreplicas = 0": "replicas must be at least 1",
    "time = 1.0\nentries = [[0]]": "entries[0] must have at least 2 entries",
    "time = 1.0\nentries = [[0, -1]]": "must be at least 0",
    "time = 1.0\nrecord = ['drfit']": "unknown record[0] 'drfit'",
    "time = 1.0\nsolver = 'euler'": "unknown solver 'euler'",
    "time = 1.0\nstop = {train_loss = 0}": "train_loss must be above 0",
    "time = 'long'": "time must be a number",
    "points = 3": "the key 'time' is missing",
}


@pytest.mark.parametrize("text", VALUES)
def test_a_wrong_value_is_refused(text):
    head = '[data]\nsource = "gaussian"\ninputs = 2\n[model]\ntype = "mlp"\nwidths = [3]\n'
    with pytest.raises(SpecError) as caught:
        loads(f'{head}[stages.f]\ntype = "flow"\n{text}\n')
    assert VALUES[text] in str(caught.value)


WIDTHS: dict[str, Any] = {"model.widths": [[8, 8], [16, 16]]}
SWEEP = Sweep(**WIDTHS)
COLLECT = {
    "no sweep": ({"x": "model.widths"}, None, "CE202", (), "nothing to collect without a sweep"),
    "not swept": ({"x": "model.width"}, SWEEP, "CE201", ("x",), "'model.width' is not swept"),
    "by what is not swept": ({"by": "seed"}, SWEEP, "CE201", ("by",), "'seed' is not swept"),
    "no stage": ({"y": "stages.g.drift"}, SWEEP, "CE201", ("y",), "'g' is no stage"),
    "no number": ({"y": "stages.f"}, SWEEP, "CE104", ("y",), "y must name a number of a stage"),
    "no result": ({"y": "model.widths"}, SWEEP, "CE104", ("y",), "y must name a number of a stage"),
}


@pytest.mark.parametrize("case", COLLECT)
def test_a_fault_of_what_is_collected_is_said_where_it_is(case):
    keys, sweep, code, path, message = COLLECT[case]
    collect = Collect(**({"x": "model.widths", "y": "stages.f.drift"} | keys))
    flow = Flow(**END, record=["drift"])
    (fault,) = document({"f": flow}, sweep=sweep, collect={"c": collect}).faults()
    assert (fault.code, fault.path) == (code, ("collect", "c", *path))
    assert message in fault.message


def test_a_flow_that_does_not_fit_is_refused(monkeypatch):
    from ceflow.runs import prepare

    monkeypatch.setattr("ceflow.runs.machine.memory", lambda: 1e9)
    wide = document({"f": Flow(**END, replicas=100)}, model=Mlp(widths=(4000, 4000)))
    with pytest.raises(SpecError, match=r"CE401.*stage 'f' would need [\d.]+ GB") as caught:
        prepare(ceflow.compile(wide))
    assert caught.value.faults[0].help.startswith("lower model.widths")

"""Meaning of train stages: each fault with its place and its sentence."""

import math
from typing import Any

import pytest

import ceflow
from ceflow.spec import (
    Bottleneck,
    Circle,
    Digits,
    Document,
    Ensemble,
    Flow,
    Gaussian,
    LearningRates,
    Mlp,
    SpecError,
    Stop,
    Train,
    dumps,
    loads,
)

WIDE = Mlp(widths=(math.inf,), weight_variance=1.0)
NARROW = Bottleneck(size=3, encoder=WIDE, decoder=WIDE)
ENDLESS = Bottleneck(size=math.inf, encoder=WIDE, decoder=WIDE)
SMOOTH = NARROW.model_copy(update={"decoder": WIDE.model_copy(update={"activation": "tanh"})})
FINITE = Mlp(widths=(8,))
TEN: dict[str, Any] = {"steps": 10}


def document(train, **keys):
    given: dict[str, Any] = {"model": NARROW, "data": Gaussian(inputs=2, train=4)}
    return Document(**(given | keys), stages={"t": train})


SOUND = {
    "the least": (Train(steps=1), {}),
    "epochs": (Train(epochs=0.5, batch=2), {}),
    "a number": (Train(**TEN, learning_rate=1), {}),
    "a fraction": (Train(**TEN, learning_rate=LearningRates(relative=0.1)), {}),
    "two rates": (Train(**TEN, learning_rate=LearningRates(encoder=0.1, decoder=2.0)), {}),
    "history": (Train(**TEN, engine="history", record=["drift", "embedding"]), {}),
    "an infinite bottleneck": (Train(**TEN), {"model": ENDLESS}),
    "the one kernel": (Train(**TEN, engine="kernel"), {"model": ENDLESS}),
    "smooth": (Train(**TEN, sampling="quasi-random", width=3), {"model": SMOOTH}),
    "moments": (Train(**TEN, moments=[0, 3, 10], stop=Stop(train_loss=0.1)), {}),
    "classes": (Train(**TEN, loss="cross-entropy", reduction="mean"), {"data": Digits()}),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_training_has_no_faults_and_can_be_written(case):
    stage, rest = SOUND[case]
    sound = document(stage, **rest)
    assert sound.faults() == []
    assert loads(dumps(sound)) == sound
    assert loads(dumps(sound, "json"), syntax="json") == sound
    assert loads(dumps(sound, defaults=True)) == sound


def test_the_engine_is_the_natural_one():
    assert Train(**TEN).engine_of(NARROW) == "features"
    assert Train(**TEN).engine_of(ENDLESS) == "kernel"
    assert Train(**TEN, engine="history").engine_of(NARROW) == "history"


def test_epochs_are_counted_in_steps():
    assert Train(epochs=3, batch=20).steps_of(100) == 15
    assert Train(epochs=3).steps_of(100) == 3  # of all examples
    assert Train(epochs=0.001, batch=20).steps_of(100) == 1
    assert Train(steps=7, batch=20).steps_of(100) == 7


def test_moments_are_the_start_the_end_and_what_was_asked_for():
    assert Train(steps=20, points=4).moments_of(20) == [0, 5, 10, 15, 20]
    assert Train(steps=3).moments_of(3) == [0, 1, 2, 3]
    assert Train(steps=20, moments=[5, 6]).moments_of(20) == [0, 5, 6, 20]
    many = Train(steps=10**12, points=1000).moments_of(10**12)
    assert (len(many), many[-1]) == (1001, 10**12)


@pytest.mark.parametrize("keys", [{"points": 4}, {}, {"moments": [5, 6]}, {"moments": [0, 3, 20]}])
def test_moments_are_counted_as_they_are_listed(keys):
    stage = Train(steps=20, **keys)
    assert stage.moments_in(20) == len(stage.moments_of(20))
    assert Train(steps=10**12, points=10**12).moments_in(10**12) == 10**12 + 1


MODELS = {
    "infinite": WIDE,
    "mixed": Mlp(widths=(8, math.inf)),
    "mixed members": Ensemble(multiplicity=2, member=Mlp(widths=(math.inf, 8))),
}


@pytest.mark.parametrize("name", MODELS)
def test_advice_to_use_a_flow_stage_leads_to_one_that_is_accepted(name):
    model = MODELS[name]
    (fault,) = document(Train(**TEN), model=model).faults()
    refused = document(Flow(time=1.0), model=model).faults()
    first = "".join(f"{each.help}, and " for each in refused)
    assert fault.help == f"{first}use a flow stage, or finite widths"
    if refused:
        assert refused[0].help == "make all widths inf, or all finite"


FAULTY = {
    "points beside moments": (
        Train(**TEN, points=3, moments=[2]),
        {},
        "CE202",
        ("points",),
        "points and moments both say when to record",
    ),
    "no data": (Train(**TEN), {"data": None}, "CE202", (), "a train stage needs examples"),
    "infinite widths": (
        Train(**TEN),
        {"model": WIDE},
        "CE203",
        (),
        "a train stage needs a finite network, or a bottleneck between infinitely wide ones",
    ),
    "weights of an infinite network": (
        Train(**TEN, engine="parameters"),
        {},
        "CE203",
        ("engine",),
        "an infinitely wide network has no weights to train",
    ),
    "an engine for no bottleneck": (
        Train(**TEN, engine="kernel"),
        {},
        "CE203",
        ("engine",),
        "the engine 'kernel' is not for a bottleneck of size 3",
    ),
    "an engine for a bottleneck": (
        Train(**TEN, engine="history"),
        {"model": ENDLESS},
        "CE203",
        ("engine",),
        "the engine 'history' is not for a bottleneck of size inf",
    ),
    "too large a batch": (
        Train(**TEN, batch=5),
        {},
        "CE202",
        ("batch",),
        "a batch of 5 examples out of 4",
    ),
    "too large a batch of points": (
        Train(**TEN, batch=8),
        {"data": Circle(points=7)},
        "CE202",
        ("batch",),
        "a batch of 8 examples out of 7",
    ),
    "too narrow": (
        Train(**TEN, width=2),
        {},
        "CE202",
        ("width",),
        "a bottleneck of 3 units in a sampled network of 2",
    ),
    "moments too late": (
        Train(**TEN, moments=[5, 11]),
        {},
        "CE202",
        ("moments",),
        "moments go beyond the last step, 10",
    ),
    "moments after the last epoch": (
        Train(epochs=2, batch=2, moments=[5]),
        {},
        "CE202",
        ("moments",),
        "moments go beyond the last step, 4",
    ),
    "no bottleneck to look into": (
        Train(**TEN, record=["embedding"]),
        {"model": ENDLESS},
        "CE202",
        ("record",),
        "an infinite bottleneck has no values to record",
    ),
    "no classes": (
        Train(**TEN, loss="cross-entropy"),
        {},
        "CE202",
        ("loss",),
        "cross-entropy needs classes, and the targets are numbers",
    ),
    "mean over outputs": (
        Train(**TEN, loss="cross-entropy", reduction="mean-all"),
        {"data": Digits()},
        "CE202",
        ("reduction",),
        "mean-all averages over outputs, and cross-entropy is one number per example",
    ),
}


@pytest.mark.parametrize("case", FAULTY)
def test_a_fault_of_a_training_is_said_where_it_is(case):
    stage, rest, code, path, message = FAULTY[case]
    (fault,) = document(stage, **rest).faults()
    assert (fault.code, fault.path, fault.message) == (code, ("stages", "t", *path), message)


def test_targets_of_a_circle_are_as_many_as_outputs():
    decoder = WIDE.model_copy(update={"outputs": 2})
    model = NARROW.model_copy(update={"decoder": decoder})
    with pytest.raises(SpecError, match="the model has 2 outputs, the data have 1"):
        ceflow.compile(document(Train(**TEN), model=model, data=Circle(points=5)))


HALVES = "a learning rate needs relative, or encoder and decoder"
VALUES = {
    "": ((), "CE102", "neither steps nor epochs is set"),
    "steps = 0": (("steps",), "CE104", "steps must be at least 1"),
    "steps = 1.5": (("steps",), "CE103", "steps must be a whole number"),
    "epochs = 1e13": (("epochs",), "CE104", "epochs must be at most"),
    "steps = 3\nepochs = 2": (
        ("epochs",),
        "CE202",
        "steps and epochs both say how long to train",
    ),
    "steps = 3\nmoments = [2, 1]": (("moments",), "CE104", "moments must increase"),
    "steps = 3\nmoments = [-1]": (("moments", 0), "CE104", "moments[0] must be at least 0"),
    "steps = 3\nrecord = ['drfit']": (("record", 0), "CE105", "unknown record[0] 'drfit'"),
    "steps = 3\nengine = 'fast'": (("engine",), "CE105", "unknown engine 'fast'"),
    "steps = 3\nmomentum = 1.0": (("momentum",), "CE104", "momentum must be below 1"),
    "steps = 3\nschedule = 'step'": (("schedule",), "CE105", "unknown schedule 'step'"),
    "steps = 3\nschedule = {at = [0.5, 0.2]}": (
        ("schedule", "at"),
        "CE104",
        "at must increase",
    ),
    "steps = 3\nschedule = {at = [1.5]}": (
        ("schedule", "at"),
        "CE104",
        "at takes fractions of the training",
    ),
    "steps = 3\nwarmup = 1.5": (
        ("warmup",),
        "CE104",
        "warmup = 1.5 is neither a fraction nor a number of steps",
    ),
    "steps = 3\nbatch = 0": (("batch",), "CE104", "batch must be at least 1"),
    "steps = 3\ntime = 1.0": (("time",), "CE101", "unknown key 'time'"),
    "steps = 3\nlearning_rate = 0": (
        ("learning_rate",),
        "CE104",
        "learning_rate must be above 0",
    ),
    "steps = 3\nlearning_rate = 'fast'": (
        ("learning_rate",),
        "CE103",
        "learning_rate must be a number",
    ),
    "steps = 3\nlearning_rate = {}": (("learning_rate",), "CE102", HALVES),
    "steps = 3\nlearning_rate = {encoder = 1}": (("learning_rate",), "CE102", HALVES),
    "steps = 3\nlearning_rate = {relativ = 1}": (
        ("learning_rate", "relativ"),
        "CE101",
        "unknown key 'relativ'",
    ),
    "steps = 3\nlearning_rate = {relative = 0}": (
        ("learning_rate", "relative"),
        "CE104",
        "relative must be above 0",
    ),
    "steps = 3\nlearning_rate = {encoder = 1, decoder = 'a'}": (
        ("learning_rate", "decoder"),
        "CE103",
        "decoder must be a number, not 'a'",
    ),
    "steps = 3\nlearning_rate = {relative = 1, decoder = 1}": (
        ("learning_rate", "decoder"),
        "CE202",
        "relative sets the rate of both halves, and decoder that of one",
    ),
}
HEAD = """
[data]
source = "gaussian"
inputs = 2

[model]
type = "bottleneck"
size = 3
encoder = {type = "mlp", widths = [inf]}
decoder = {type = "mlp", widths = [inf]}

[stages.t]
type = "train"
"""


@pytest.mark.parametrize("text", VALUES)
def test_a_wrong_value_is_refused_where_it_stands(text):
    path, code, message = VALUES[text]
    with pytest.raises(SpecError) as caught:
        ceflow.compile(loads(f"{HEAD}{text}\n"))
    (fault,) = caught.value.faults
    assert (fault.code, fault.path) == (code, ("stages", "t", *path))
    assert message in fault.message


def test_a_key_that_is_misspelt_is_guessed():
    with pytest.raises(SpecError, match=r"did you mean relative\?"):
        loads(f"{HEAD}steps = 1\nlearning_rate = {{relativ = 1.0}}\n")

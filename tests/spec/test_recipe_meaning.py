"""Meaning of train stages of finite networks: each fault with its place and its sentence."""

import math
from typing import Any

import numpy as np
import pytest

import ceflow
from ceflow.runs import prepare
from ceflow.spec import (
    Bottleneck,
    Digits,
    Document,
    Drops,
    Ensemble,
    Gaussian,
    LearningRates,
    Mlp,
    Network,
    Npz,
    Resnext,
    SpecError,
    Train,
    dumps,
    loads,
)

FINITE = Mlp(widths=(8,))
WIDE = Mlp(widths=(math.inf,), weight_variance=1.0)
NARROW = Bottleneck(size=3, encoder=WIDE, decoder=WIDE)
NORMED = Resnext(blocks=[1], base_width=2, inputs=[1, 8, 8])
TEN: dict[str, Any] = {"steps": 10}
CLASSES: dict[str, Any] = {"data": Digits(train=20)}


def document(train: Train, **keys: Any) -> Document:
    given: dict[str, Any] = {"model": FINITE, "data": Gaussian(inputs=2, train=4)}
    return Document(**(given | keys), stages={"t": train})


SOUND = {
    "the least": (Train(steps=1), {}),
    "an ensemble": (Train(**TEN), {"model": Ensemble(multiplicity=2, member=FINITE)}),
    "finite halves": (
        Train(**TEN, width=7),
        {"model": Bottleneck(size=2, encoder=FINITE, decoder=FINITE)},
    ),
    "momentum": (Train(**TEN, momentum=0.9, nesterov=True, weight_decay=0.1, decay="weights"), {}),
    "adam": (Train(**TEN, optimizer="adam", betas=(0.9, 0.95), learning_rate=0.1), {}),
    "a schedule": (Train(**TEN, schedule=Drops(at=(0.5, 0.75)), warmup=0.1, clip=1.0), {}),
    "cosine": (Train(**TEN, schedule="cosine", warmup=3, average=0.99, replicas=5), {}),
    "smoothing": (Train(**TEN, loss="cross-entropy", label_smoothing=0.1), CLASSES),
    "linearised": (Train(**TEN, engine="linearised", record=["predictions"]), {}),
    "the NTK": (Train(**TEN, record=["drift", "alignment", "spectrum"]), {}),
    "norms": (Train(**TEN, batch=5, learning_rate=0.1), CLASSES | {"model": NORMED}),
}


@pytest.mark.parametrize("case", SOUND)
def test_a_sound_training_has_no_faults_and_can_be_written(case):
    stage, rest = SOUND[case]
    sound = document(stage, **rest)
    assert sound.faults() == []
    assert loads(dumps(sound)) == sound
    assert loads(dumps(sound, "json"), syntax="json") == sound
    assert loads(dumps(sound, defaults=True)) == sound


def test_the_engine_of_a_finite_network_trains_its_weights():
    assert Train(**TEN).engine_of(FINITE) == "parameters"
    assert Train(**TEN, engine="linearised").engine_of(FINITE) == "linearised"


def test_moments_of_a_schedule_are_counted_in_steps():
    stage = Train(steps=200, warmup=0.05, schedule=Drops(at=(0.5, 0.75)))
    assert (stage.warmup_steps(200), stage.drop_steps(200)) == (10, (100, 150))
    assert Train(steps=200, warmup=1).warmup_steps(200) == 1


FAULTY: dict[str, tuple[Train, dict[str, Any], str, tuple[str, ...], str]] = {
    "function space": (
        Train(**TEN, engine="features"),
        {},
        "CE203",
        ("engine",),
        "the engine 'features' is for infinitely wide halves about a bottleneck",
    ),
    "a width": (
        Train(**TEN, width=3),
        {},
        "CE202",
        ("width",),
        "width is for infinitely wide networks with a bottleneck only",
    ),
    "two rates": (
        Train(**TEN, learning_rate=LearningRates(encoder=0.1, decoder=2.0)),
        {},
        "CE202",
        ("learning_rate",),
        "the rates of encoder and decoder are for infinitely wide halves",
    ),
    "no rate of adam": (
        Train(**TEN, optimizer="adam"),
        {},
        "CE202",
        ("learning_rate",),
        "the largest stable rate is known for sgd, and not for adam",
    ),
    "no rate with norms": (
        Train(**TEN),
        CLASSES | {"model": NORMED},
        "CE202",
        ("learning_rate",),
        "the largest stable rate is not known for batch normalisation",
    ),
    "norms linearised": (
        Train(**TEN, engine="linearised", learning_rate=0.1),
        CLASSES | {"model": NORMED},
        "CE203",
        ("engine",),
        "a network with batch normalisation has no linearisation by example",
    ),
    "a fixed NTK": (
        Train(**TEN, engine="linearised", record=["drift"]),
        {},
        "CE202",
        ("record",),
        "record records a changing NTK, and under the engine 'linearised' it is fixed",
    ),
    "a narrow linearisation": (
        Train(**TEN, engine="linearised", compute="bfloat16"),
        {},
        "CE202",
        ("compute",),
        "a linearised network is computed in the precision of the document",
    ),
    "momentum of adam": (
        Train(**TEN, optimizer="adamw", learning_rate=0.1, momentum=0.9),
        {},
        "CE202",
        ("momentum",),
        "the optimizer 'adamw' has no momentum",
    ),
    "betas of sgd": (
        Train(**TEN, betas=(0.5, 0.5)),
        {},
        "CE202",
        ("betas",),
        "the optimizer 'sgd' has no betas",
    ),
    "nesterov alone": (
        Train(**TEN, nesterov=True),
        {},
        "CE202",
        ("nesterov",),
        "nesterov changes the momentum, and there is none",
    ),
    "decay of nothing": (
        Train(**TEN, decay="weights"),
        {},
        "CE202",
        ("decay",),
        "decay says what decays, and nothing does",
    ),
    "a long warm-up": (
        Train(**TEN, warmup=10),
        {},
        "CE202",
        ("warmup",),
        "a warm-up of 10 steps in a training of 10",
    ),
    "drops before the first step": (
        Train(steps=3, schedule=Drops(at=(0.01, 0.5))),
        {},
        "CE202",
        ("schedule",),
        "drops after 0, 2 of 3 steps: there must be steps between them",
    ),
    "drops after the last step": (
        Train(steps=3, schedule=Drops(at=(0.5, 0.9))),
        {},
        "CE202",
        ("schedule",),
        "drops after 2, 3 of 3 steps: there must be steps between them",
    ),
    "smooth numbers": (
        Train(**TEN, label_smoothing=0.1),
        {},
        "CE202",
        ("label_smoothing",),
        "label_smoothing is for the cross-entropy",
    ),
    "smooth signs": (
        Train(**TEN, loss="cross-entropy", label_smoothing=0.1),
        {"data": Digits(train=20, classes=["3", "8"], targets="signed")},
        "CE202",
        ("label_smoothing",),
        "label_smoothing is for one-hot targets",
    ),
    "values of a finite bottleneck": (
        Train(**TEN, record=["embedding"]),
        {},
        "CE202",
        ("record",),
        "the values in a bottleneck are recorded between infinitely wide halves only",
    ),
    "replicas in function space": (
        Train(**TEN, replicas=2),
        {"model": NARROW},
        "CE202",
        ("replicas",),
        "replicas is for finite networks, and this one is trained in function space",
    ),
    "alignment in function space": (
        Train(**TEN, record=["alignment"]),
        {"model": NARROW},
        "CE202",
        ("record",),
        "alignment is recorded for finite networks only",
    ),
}


@pytest.mark.parametrize("case", FAULTY)
def test_a_fault_of_a_training_is_said_where_it_is(case):
    stage, rest, code, path, message = FAULTY[case]
    (fault,) = document(stage, **rest).faults()
    assert (fault.code, fault.path, fault.message) == (code, ("stages", "t", *path), message)
    assert fault.help


def test_a_top_5_accuracy_needs_more_classes():
    few = document(Train(**TEN, record=["top-5"]), data=Digits(train=20, classes=["1", "2"]))
    with pytest.raises(SpecError, match="a top-5 accuracy needs more than 5 classes") as caught:
        prepare(ceflow.compile(few))
    assert caught.value.faults[0].path == ("stages", "t", "record")


def test_batch_norm_of_units_needs_more_than_one_example():
    layers = [{"type": "dense", "units": 3}, {"type": "batch-norm"}, {"type": "dense"}]
    few = document(Train(**TEN, batch=1, learning_rate=0.1), model=Network(layers=layers))
    with pytest.raises(SpecError, match="one number of each unit in a batch of one") as caught:
        prepare(ceflow.compile(few))
    assert caught.value.faults[0].path == ("stages", "t", "batch")


@pytest.mark.parametrize("recipe", [{"momentum": 1 - 1e-12}, {"average": 1 - 1e-12}])
def test_a_decay_that_float32_rounds_to_1_is_refused(recipe: dict[str, Any]):
    found = document(Train(**TEN, **recipe), precision="float32").faults()
    assert "is 1 in float32" in next(iter(found)).message


def test_vectors_are_not_augmented(tmp_path):
    path = tmp_path / "data.npz"
    np.savez(path, x=np.ones((6, 5)), y=np.arange(6) % 2)
    source = Npz(path=str(path), targets="one-hot", augment=["flip"])
    with pytest.raises(SpecError, match="augment changes images, and the inputs are vectors") as it:
        prepare(ceflow.compile(document(Train(**TEN), data=source)))
    assert it.value.faults[0].path == ("data", "augment")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (Digits(train=20), "mixes red, green and blue, and the images have 1 channel\n"),
        (
            Npz(path="data.npz", targets="one-hot", normalise="unit"),
            "changes stored colours, and normalise cannot be undone",
        ),
        (
            Npz(path="data.npz", targets="one-hot", normalise="standard", zca=0.1),
            "changes stored colours, and zca cannot be undone",
        ),
        (
            Npz(path="data.npz", targets="one-hot", normalise="contrast", zca=1),
            "and normalise and zca cannot be undone",
        ),
    ],
)
def test_only_colours_that_are_known_are_changed(
    data: Digits | Npz, message: str, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    np.savez("data.npz", x=np.random.default_rng(0).random((6, 3, 4, 4)), y=np.arange(6) % 2)
    source = data.replaced({"augment": ["color-jitter"]})
    with pytest.raises(SpecError, match=message) as it:
        prepare(ceflow.compile(document(Train(**TEN), data=source)))
    assert it.value.faults[0].path == ("data", "augment")

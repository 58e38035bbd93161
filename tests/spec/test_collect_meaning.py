"""Meaning of [collect] tables over histories: each fault with its place and its sentence."""

from typing import Any

import pytest

from ceflow.spec import (
    Collect,
    Document,
    Flow,
    Gaussian,
    Kernel,
    Mlp,
    SpecError,
    Sweep,
    dumps,
    loads,
)

TIME, LOSS = "stages.f.time", "stages.f.train_loss"


def document(collect: Collect, **paths: list[Any]) -> Document:
    swept = {key.replace("__", "."): values for key, values in paths.items()}
    return Document(
        data=Gaussian(train=3, inputs=2),
        model=Mlp(widths=[8, 8]),
        stages={
            "f": Flow(time=1.0, record=["alignment"]),
            "g": Flow(time=1.0),
            "k": Kernel(),
        },
        sweep=Sweep(**(swept or {"model.widths": [[8, 8], [16, 16]]})),  # pyright: ignore
        collect={"c": collect},
    )


FAULTS = {
    "another stage": (
        {"y": "stages.g.train_loss"},
        ("CE202", ("y",), "x is recorded by the stage 'f', y by 'g'", 'as "stages.f.KEY"'),
    ),
    "no stage": ({"x": "stages.h.time"}, ("CE201", ("x",), "'h' is no stage", "one of f, g, k")),
    "no quantity": (
        {"x": "stages.f"},
        ("CE104", ("x",), "x must name a number of a stage", 'as "stages.f.KEY"'),
    ),
    "a stage without moments": (
        {"x": "stages.k.time", "y": "stages.k.trace"},
        ("CE202", ("x",), "the stage 'k' records nothing", "name a flow or a train stage"),
    ),
    "a quantity misspelt": (
        {"y": "stages.f.trian_loss"},
        ("CE201", ("y",), "'f' does not record 'trian_loss'", "did you mean train_loss?"),
    ),
    "one that nothing is like": (
        {"x": "stages.f.xyz"},
        ("CE201", ("x",), "'f' does not record 'xyz'", "one of time, train_loss, test_loss,"),
    ),
    "what record does not ask for": (
        {"y": "stages.f.drift"},
        ("CE201", ("y",), "'f' does not record 'drift'", "one of time"),
    ),
    "steps of a flow": (
        {"x": "stages.f.step"},
        ("CE201", ("x",), "'f' does not record 'step'", "one of time"),
    ),
    "over what is not swept": (
        {"over": "seed"},
        ("CE201", ("over",), "'seed' is not swept", "one of"),
    ),
    "over the same": (
        {"over": "model.widths", "by": "model.widths"},
        ("CE202", ("over",), "model.widths is averaged over, and named again", "in one place"),
    ),
    "by what is not swept": ({"by": "seed"}, ("CE201", ("by",), "'seed' is not swept", "one of")),
    "a fit": (
        {"fit": "power"},
        ("CE202", ("fit",), "fitted to one number per run", "leave fit out"),
    ),
    "a level of what is smooth": (
        {"smooth": 5, "level": 0.1},
        ("CE202", ("smooth",), "smooth and level exclude each other", "leave one"),
    ),
    "values at x of what is smooth": (
        {"smooth": 5, "at": [0.1]},
        ("CE202", ("smooth",), "smooth and at exclude each other", "leave one"),
    ),
    "values at x of numbers": (
        {"x": "model.widths", "at": [8.0]},
        ("CE202", ("at",), "at is for histories only", "stages.train.step"),
    ),
    "against without over": (
        {"by": "model.widths", "against": 8, "level": 1.0},
        ("CE202", ("against",), "the same value of over, and there is none", 'over = "seed"'),
    ),
    "a heatmap of numbers": (
        {"x": "model.widths", "view": "heatmap"},
        (
            "CE202",
            ("view",),
            "view is for histories only, and x is one number per run",
            "stages.train.step",
        ),
    ),
    "numbers to be smoothed": (
        {"x": "model.widths", "smooth": 5},
        ("CE202", ("smooth",), "smooth is for histories only", "stages.train.step"),
    ),
    "several that the stage of x is not among": (
        {"y": ["stages.g.train_loss", "stages.k.trace"]},
        ("CE202", ("y",), "x is recorded by the stage 'f', y by 'g' and 'k'", '"stages.f.KEY"'),
    ),
    "one of several over another clock": (
        {"y": [LOSS, "stages.k.trace"]},
        ("CE202", ("y",), "'k' does not record 'time', which is x", "stages that record 'time'"),
    ),
    "one of several misspelt": (
        {"y": [LOSS, "stages.g.trian_loss"]},
        ("CE201", ("y",), "'g' does not record 'trian_loss'", "did you mean train_loss?"),
    ),
    "one of several twice": (
        {"y": [LOSS, LOSS]},
        ("CE202", ("y",), "y names stages.f.train_loss twice", "leave one of them out"),
    ),
    "several numbers": (
        {"x": "model.widths", "y": [LOSS, "stages.k.trace"]},
        ("CE202", ("y",), "several quantities at y are for histories only", "table of its own"),
    ),
    "a given number of no correlation": (
        {"x": "model.widths", "given": "stages.k.trace"},
        ("CE202", ("given",), "the third number of a partial", 'add correlate = "spearman"'),
    ),
    "a given number that is x too": (
        {"x": "model.widths", "given": "model.widths", "correlate": "spearman"},
        ("CE202", ("given",), "is given, and named again", "leave it out in one place"),
    ),
    "a given number of no stage": (
        {"given": "stages.h.trace", "correlate": "spearman"},
        ("CE201", ("given",), "'h' is no stage", "one of f, g, k"),
    ),
    "means over runs of another x": (
        {"over": "model.widths", "correlate": "spearman"},
        ("CE202", ("over",), "stages.f.time differs between the runs", "let x be swept"),
    ),
    "a heatmap of a correlation": (
        {"view": "heatmap", "correlate": "spearman"},
        ("CE202", ("view",), "x is one number per run", "stages.train.step"),
    ),
    "a level of numbers": (
        {"x": "model.widths", "level": 0.0},
        ("CE202", ("level",), "level is for histories only", "stages.train.step"),
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_a_fault_is_said_where_it_is(case):
    keys, (code, path, message, help) = FAULTS[case]
    collect = Collect(**({"x": TIME, "y": LOSS} | keys))
    (fault,) = document(collect).faults()
    assert (fault.code, fault.path) == (code, ("collect", "c", *path))
    assert message in fault.message
    assert help in fault.help


@pytest.mark.parametrize(
    "keys",
    [
        {"x": TIME, "y": LOSS, "view": "heatmap", "by": "model.widths"},
        {"x": LOSS, "y": "stages.f.alignment", "smooth": 5},
        {"x": TIME, "y": "stages.f.alignment", "level": -0.5},
        {"x": TIME, "y": (LOSS, "stages.g.train_loss")},
    ],
)
def test_what_is_sound_has_no_fault_and_survives_writing(keys):
    sound = document(Collect(**keys))
    assert not sound.faults()
    assert loads(dumps(sound)) == sound


def test_a_path_of_a_stage_that_is_swept_is_a_number():
    swept = document(Collect(x=TIME, y=LOSS, fit="power"), stages__f__time=[1.0, 2.0])
    assert not swept.faults()
    assert not swept.collect["c"].of_histories(swept)


@pytest.mark.parametrize(
    ("x", "said"),
    [
        ("stages.f.pionts", "'f' does not record 'pionts'"),
        ("stages.k.spectrm", "the stage 'k' records nothing"),
    ],
)
def test_a_swept_path_misspelt_is_guessed(x, said):
    """And nothing else is said, of y or of a law over histories."""
    paths = {"stages__f__points": [2, 3], "stages__k__spectrum": [True, False]}
    (fault,) = document(Collect(x=x, y="stages.g.train_loss", fit="power"), **paths).faults()
    assert (fault.path, said in fault.message) == (("collect", "c", "x"), True)
    assert fault.help in ("did you mean points?", "did you mean spectrum?")


def test_what_is_recorded_is_not_judged_where_it_is_swept():
    records = [["drift"], ["drift", "spectrum"]]
    assert not document(Collect(x=TIME, y="stages.f.drift"), stages__f__record=records).faults()


@pytest.mark.parametrize("keys", [{"view": "map"}, {"smooth": 0}, {"level": float("inf")}])
def test_a_wrong_value_is_refused(keys):
    with pytest.raises(ValueError, match="CE10"):
        Collect(x=TIME, y=LOSS, **keys)


@pytest.mark.parametrize("y", [3, [], [LOSS, 3]])
def test_y_is_a_path_or_several(y):
    with pytest.raises(SpecError, match=r"y must be a path, as .* array of paths") as raised:
        Collect(x=TIME, y=y)
    assert len(raised.value.faults) == 1


NOT_ON_AN_AXIS = {
    "model.bias": [True, False],
    "model.activation": ["relu", "linear"],
    "model.widths": [[8, 16], [16, 8]],
    "data": [{"source": "gaussian", "train": 3, "inputs": n} for n in (2, 3)],
}


@pytest.mark.parametrize("path", NOT_ON_AN_AXIS)
def test_x_of_which_no_value_is_a_number_is_a_fault(path):
    asked = Collect(x=path, y="stages.f.train_loss")
    (fault,) = asked.faults_in(document(asked, **{path: NOT_ON_AN_AXIS[path]}))
    assert (fault.code, fault.path) == ("CE104", ("x",))
    assert f"no value of {path} in the sweep is a number" in fault.message


@pytest.mark.parametrize("values", [[4, [8, 16]], [[8, 8], [8, 16]], ["inf", [8, 16]]])
def test_x_of_which_a_value_is_a_number_has_no_fault(values):
    asked = Collect(x="model.widths", y="stages.f.train_loss")
    given = document(asked, model__widths=values)
    assert asked.faults_in(given) == []


@pytest.mark.parametrize("key", ["x", "by"])
def test_runs_are_told_apart_by_what_is_written(key):
    """Lists of one value repeated are written as the value, however long they are."""
    keys: dict[str, Any] = {"x": TIME, "y": LOSS, "over": "seed"} | {key: "model.widths"}
    asked = Collect(**keys)
    values: dict[str, list[Any]] = {"model__widths": [[8], [8, 8]], "seed": [0, 1]}
    (fault,) = document(asked, **values).faults()
    assert (fault.code, fault.path) == ("CE202", ("collect", "c", key))
    assert fault.message == "[8] and [8, 8] of model.widths are both written 8"
    assert not document(asked, **values | {"model__widths": [[8], [8, 9]]}).faults() or key == "x"


def test_nothing_is_averaged_unasked():
    collect = Collect(x=TIME, y=LOSS, over="seed")
    paths: dict[str, list[Any]] = {"model__widths": [[8, 8], [16, 16]], "seed": [0, 1]}
    (fault,) = document(collect, **paths).faults()
    assert (fault.code, fault.path[-1]) == ("CE202", "over")
    assert fault.message == "model.widths is swept too, and its runs would be averaged"
    assert fault.help == 'name it: by = "model.widths"'
    assert not document(collect.replaced({"by": "model.widths"}), **paths).faults()


def test_histories_need_no_sweep():
    given = document(Collect(x=TIME, y=[LOSS, "stages.g.train_loss"])).replaced({"sweep": None})
    assert not given.faults()
    (fault,) = given.replaced({"collect": {"c": Collect(x=TIME, y=LOSS, by="seed")}}).faults()
    assert (fault.code, fault.path) == ("CE201", ("collect", "c", "by"))


SEEDS = {"model.widths": [[8, 8], [16, 16]], "seed": [0, 1]}
PAIRED = {
    "a value that is not swept": (
        {"x": "model.widths", "against": 9},
        ("CE201", "9 is not among the swept values of model.widths", "one of 8, 16"),
    ),
    "histories of one mean": (
        {"by": "model.widths", "against": 8},
        ("CE202", "against compares numbers, and these are whole histories", "add at or level"),
    ),
}


@pytest.mark.parametrize("case", PAIRED)
def test_a_comparison_that_cannot_be_made_is_said(case):
    keys, (code, message, help) = PAIRED[case]
    given: dict[str, Any] = {"x": TIME, "y": LOSS, "over": "seed"}
    asked = Collect(**given | keys)
    (fault,) = document(asked, **SEEDS).faults()
    assert (fault.code, fault.path) == (code, ("collect", "c", "against"))
    assert message in fault.message
    assert help in fault.help


@pytest.mark.parametrize(("other", "sound"), [(["relu", "erf"], True), (["relu", "relu"], False)])
def test_what_is_zipped_with_x_need_not_be_named(other, sound):
    """The widths tell the activation; the activation tells the widths only if its values differ."""
    keys = {"mode": "zip", "cross": ["seed"], "model.activation": other} | SEEDS
    by_width = document(Collect(x="model.widths", y=LOSS, over="seed"), **keys)
    assert not by_width.faults()
    asked = Collect(x=TIME, y=LOSS, by="model.activation", over="seed")
    found = document(asked, **keys).faults()
    assert sound == (not found)
    assert all("model.widths is swept too" in fault.message for fault in found)


@pytest.mark.parametrize("against", [8, 8.0, "8", [8, 8]])
def test_a_value_to_compare_with_may_be_written_in_several_ways(against):
    asked = Collect(x="model.widths", y=LOSS, over="seed", against=against)
    sound = document(asked, **SEEDS)
    assert not sound.faults()
    assert loads(dumps(sound)) == sound

"""Documents changed in Python: comments stay; and where each value came from can be told."""

from pathlib import Path

import pytest

from ceflow.compiler import compile
from ceflow.spec import (
    Document,
    Ensemble,
    Gaussian,
    Mlp,
    Network,
    Resnext,
    SpecError,
    dumps,
    dumps_origins,
    load,
    loads,
)
from ceflow.spec.ready import ready_names

QUICKSTART = Path(__file__).parent.parent.parent / "examples" / "quickstart.toml"

TEXT = """\
# why
seed = 3   # chosen by lot
[model]    # the network
type = "mlp"
widths = [3]  # narrow
inputs = 1
outputs = 1
"""


def test_an_unchanged_document_is_written_as_it_was_read():
    assert dumps(load(QUICKSTART)) == QUICKSTART.read_text(encoding="utf-8")


def test_comments_stay_around_a_change():
    document = loads(TEXT)
    changed = dumps(document.model_copy(update={"seed": 4}))
    assert changed == TEXT.replace("seed = 3", "seed = 4")


def test_a_value_that_becomes_its_default_is_taken_out():
    changed = dumps(loads(TEXT).model_copy(update={"seed": 0}))
    assert "seed" not in changed
    assert "# the network" in changed


@pytest.mark.parametrize(
    "update",
    [
        {"seed": 9, "name": "other"},
        {"model": Mlp(widths=[4, 4], inputs=1, outputs=1, activation="erf")},
        {"model": Ensemble(multiplicity=2, member=Mlp(widths=[4], inputs=1, outputs=1))},
    ],
)
def test_an_edited_text_says_the_changed_document(update):
    document = loads(TEXT).model_copy(update=update)
    assert loads(dumps(document)) == document


def test_origins_name_the_line_the_setting_the_data_and_the_default():
    plan = compile(load(QUICKSTART, ["stages.alpha.draws=300"]))
    said = dumps_origins(plan.document, plan.resolved())
    lines = dict(line.split(" # ") for line in said.splitlines() if " # " in line)
    assert lines["inputs = 64"] == "from the data"
    assert lines["draws = 300"] == "--set:1:20"
    assert lines['activation = "relu"'] == "default"
    assert lines['name = "quickstart"'] == f"{QUICKSTART}:5:8"


def test_only_sizes_of_the_model_come_from_the_data():
    without = Document(model=Resnext(blocks=[1], base_width=2))
    source = Document(model=Mlp(widths=[2]), data=Gaussian(inputs=4, train=3))
    for document, line in ((without, "outputs = 10"), (source, "test = 0")):
        said = dumps_origins(document, compile(document).resolved())
        lines = dict(each.split(" # ") for each in said.splitlines() if " # " in each)
        assert lines[line] == "default"


def test_building_in_python_names_the_path_and_every_fault():
    with pytest.raises(SpecError) as caught:
        Mlp(widths=[3, 0], activatoin="relu")  # pyright: ignore[reportCallIssue]
    assert [(fault.code, fault.path) for fault in caught.value.faults] == [
        ("CE104", ("widths", 1)),
        ("CE101", ("activatoin",)),
    ]
    assert "did you mean activation?" in str(caught.value)


def test_faults_of_meaning_are_found_beside_those_of_form():
    text = TEXT + 'activation = "tanh"\n[stages.a]\ntype = "variance"\nmethod = "exact"\n'
    with pytest.raises(SpecError) as caught:
        loads("sed = 3\n" + text)
    assert [fault.code for fault in caught.value.faults] == ["CE101", "CE203"]


@pytest.mark.parametrize(
    ("source", "keys", "code"),
    [
        ("digits", 'normalise = "zzzzzz"', "CE105"),
        ("zzzzzz", "test = 7", "CE105"),
        ("gaussian", 'inputs = 3\ntest = "seven"', "CE103"),
        ("npz", 'path = "a.npz"\ntargets = "zzzzzz"', "CE105"),
    ],
)
def test_of_data_that_cannot_be_read_no_stage_misses_examples(source: str, keys: str, code: str):
    text = (
        f'{TEXT}[data]\nsource = "{source}"\n{keys}\n[stages.a]\ntype = "flow"\ntime = 1.0\n'
        "[sweep]\nseed = [1, 2]\n"
        + "".join(
            f'[collect.{key}]\nx = "seed"\ny = "stages.a.{key}"\n'
            for key in ("test_loss", "test_accuracy")[: 1 if source == "gaussian" else 2]
        )
    )
    with pytest.raises(SpecError) as caught:
        loads(text)
    assert [fault.code for fault in caught.value.faults] == [code]


def test_a_stage_that_cannot_be_read_is_not_missed_by_others():
    text = TEXT + '[stages.a]\ntype = "variance"\ndraws = "x"\n'
    text += '[stages.b]\ntype = "search"\nvariance = "a"\n'
    with pytest.raises(SpecError) as caught:
        loads(text)
    assert [fault.code for fault in caught.value.faults] == ["CE103"]


def test_a_dangling_name_is_blamed_though_a_broken_stage_begins_like_it():
    text = TEXT + '[stages.a]\ntype = "variance"\ndraws = "x"\n'
    text += '[stages.b]\ntype = "search"\nvariance = "alpha"\n'
    with pytest.raises(SpecError) as caught:
        loads(text)
    assert [fault.code for fault in caught.value.faults] == ["CE103", "CE201"]


def test_document_is_a_type_that_users_can_check():
    assert isinstance(loads(TEXT), Document)


LAYERS = """\
[model]
type = "network"
inputs = [3, 8, 8]
layers = [  # as in the paper
  {type="convolution", channels = 8}, "relu",  # first
  # an ensemble
  {type = "ensemble", multiplicity = 2, layers = [
    {type = "convolution", channels = 4}, "relu",  # of members
    {type = "convolution", channels = 8}]},
  "global-average", {type = "dense", units = 3},
]
"""


def test_a_change_inside_layers_leaves_their_form():
    document = loads(LAYERS)
    found = Network.expect(document.model).focused(None).with_members([3], 5).whole
    wanted = LAYERS.replace("multiplicity = 2", "multiplicity = 5").replace(
        "channels = 4}", "channels = 3}"
    )
    assert dumps(document.model_copy(update={"model": found})) == wanted


def test_layers_written_anew_have_lines_of_their_own():
    document = loads(LAYERS)
    model = Network.expect(document.model)
    model = model.replaced({"layers": (*model.layers, model.layers[-1])})
    written = dumps(document.model_copy(update={"model": model}))
    assert (
        written
        == LAYERS.partition("layers")[0]
        + """\
layers = [
  {type = "convolution", channels = 8}, "relu",
  {type = "ensemble", multiplicity = 2, layers = [
    {type = "convolution", channels = 4}, "relu",
    {type = "convolution", channels = 8}]}, "global-average",
  {type = "dense", units = 3},
  {type = "dense", units = 3},
]
"""
    )


@pytest.mark.parametrize("name", ready_names())
def test_layers_of_ready_made_networks_are_written_in_short_lines(name):
    model = loads(f'extends = "ceflow:{name}"').model
    text = dumps(Document(model=model))
    assert max(map(len, text.splitlines())) <= 100
    assert loads(text).model == model

"""A document of any layout, changed in any way, is written as the changed document."""

import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import layouts

from ceflow.spec import (
    Collect,
    Document,
    Ensemble,
    Gaussian,
    Kernel,
    Mlp,
    Search,
    Stop,
    Sweep,
    Variance,
    dumps,
    load,
    loads,
)
from ceflow.spec.reading import validate

TREE = {
    "ceflow": 1,
    "name": "layouts",
    "seed": 3,
    "data": {"source": "gaussian", "inputs": 2, "train": 3},
    "model": {
        "type": "ensemble",
        "multiplicity": 2,
        "member": {"type": "mlp", "widths": [3, 4], "inputs": 2, "outputs": 1},
    },
    "stages": {
        "b": {"type": "variance", "ratios": [0.5, 1.0]},
        "a": {"type": "search", "variance": "b", "budget": {"parameters": 5e3}},
        "flow": {"type": "flow", "time": 1.0, "stop": {"train_loss": 0.1}},
    },
    "sweep": {"model.member.widths": [[3, 4], [5, 6]], "seed": [1, 2]},
    "collect": {"law": {"x": "seed", "y": "stages.b.alpha"}},
}


def stages(change):
    """An edit of the stages."""
    return lambda document: {"stages": change(dict(document.stages))}


def with_stop(stop):
    """An edit of the stop of the flow."""
    return stages(lambda found: {**found, "flow": found["flow"].model_copy(update={"stop": stop})})


def renamed(found):
    return {{"b": "variance"}.get(name, name): stage for name, stage in found.items()} | {
        "a": found["a"].model_copy(update={"variance": "variance"})
    }


def reordered(found):
    return {name: found[name] for name in ("flow", "b", "a")}


OF_ANSWER = Kernel(method="empirical", model="a.dual")
MEMBER = Mlp(widths=[4], inputs=2, outputs=1)
EDITS = {
    "nothing": lambda document: {},
    "a number": lambda document: {"seed": 4},
    "a number that becomes its default": lambda document: {"seed": 0},
    "a stage more": stages(
        lambda found: {**found, "z": Kernel(method="empirical", model="a.dual")}
    ),
    "a stage before the others": stages(lambda found: {"z": Kernel(method="empirical"), **found}),
    "a stage less": stages(lambda found: {"b": found["b"], "flow": found["flow"]}),
    "no stages": lambda document: {"stages": {}, "collect": {}},
    "a stage renamed": stages(renamed),
    "stages in another order": stages(reordered),
    "a table of a stage less": with_stop(None),
    "a table of a stage changed": with_stop(Stop(train_loss=2.0)),
    "a table of a stage more": stages(
        lambda found: {**found, "b": Search(alpha=2.0, budget={"flops": 1e6})}  # pyright: ignore
    ),
    "other data": lambda document: {"data": Gaussian(inputs=2, outputs=1, scale=2.0, test=3)},
    "no data": lambda document: {"data": None},
    "another kind of model": lambda document: {"model": MEMBER},
    "another member": lambda document: {"model": Ensemble(multiplicity=3, member=MEMBER)},
    "no sweep": lambda document: {"sweep": None, "collect": {}},
    "a sweep in another order": lambda document: {
        "sweep": Sweep(**dict(reversed(document.sweep.paths.items())))
    },
    "a sweep over tables": lambda document: {
        "sweep": Sweep(**{"stages.flow.stop": [{"train_loss": 0.2}], "seed": [1]})
    },
    "a collect more": lambda document: {
        "collect": {"first": Collect(x="seed", y="stages.b.alpha"), **document.collect}
    },
    "all": lambda document: {
        "name": "other",
        "precision": "float32",
        "data": None,
        "model": MEMBER,
        "stages": {"only": Variance()},
        "sweep": None,
        "collect": {},
    },
}


def says(text: str, document: Document) -> bool:
    """Whether a text means a document, order included; some edits here leave dangling names."""
    return validate(tomllib.loads(text)) == document


@pytest.mark.parametrize("edit", EDITS)
@settings(derandomize=True, deadline=None, max_examples=8)
@given(text=layouts(TREE))
def test_a_changed_document_of_any_layout_is_written_as_it_is(edit, text):
    document = loads(text)
    changed = document.model_copy(update=EDITS[edit](document))
    assert says(dumps(changed), changed)


SETTINGS = ["name=nine", "stages.b.ratios=[1.0]", 'model.member.activation="erf"']


@settings(derandomize=True, deadline=None, max_examples=20)
@given(text=layouts(TREE), edit=st.sampled_from(list(EDITS)))
def test_settings_are_written_into_the_text(text, edit):
    document = loads(text, settings=SETTINGS)
    changed = document.model_copy(update=EDITS[edit](document))
    assert says(dumps(changed), changed)
    assert "extends" not in dumps(changed)


@pytest.mark.parametrize("edit", EDITS)
def test_a_document_that_extends_another_is_written_whole(edit, tmp_path):
    (tmp_path / "base.toml").write_text(dumps(validate(TREE)), encoding="utf-8")
    over = '# mine\nextends = "base.toml"\n\n[stages.b]  # fewer\nratios = [0.2, 1.0]\n'
    (tmp_path / "over.toml").write_text(over, encoding="utf-8")
    document = load(tmp_path / "over.toml", settings=["name=nine"])
    changed = document.model_copy(update=EDITS[edit](document))
    assert says(dumps(changed), changed)


COMMENTED = """\
#:schema ../schemas/ceflow.schema.json
# a study

stages.b.type = "variance"   # the law
# the network
model.type = "mlp"
model.widths = [
  3,  # narrow
]
model.inputs = 2
model.outputs = 1
# gone soon
seed = 3  # gone too
# at the end
"""


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_comments_stay_where_a_document_is_written_anew(end):
    document = loads(COMMENTED.replace("\n", end))
    stages = {"a": Search(alpha=2.0), **document.stages}
    text = dumps(document.model_copy(update={"seed": 0, "stages": stages}))
    assert text.count(end) == text.count("\n")
    assert (
        text.replace(end, "\n")
        == """\
#:schema ../schemas/ceflow.schema.json
# a study
ceflow = 1

[model]
# the network
type = "mlp"
# narrow
widths = [3]
inputs = 2
outputs = 1

[stages.a]
type = "search"
alpha = 2.0

[stages.b]
type = "variance"  # the law
"""
    )


TABLES = """\
[stages.a]   # 1e3 and inline tables stay as they are
type = "search"
alpha = 2.0
budget = {parameters = 1e3}

# the law
[stages.b]
type = "variance"

[model]
type = "mlp"
widths = [3]
inputs = 2
outputs = 1
"""


def test_stages_that_change_places_are_moved_and_not_rewritten():
    document = loads(TABLES)
    stages = dict(reversed(document.stages.items()))
    first, second, model = (
        TABLES.replace("# the law", "|# the law").replace("[model]", "|[model]").split("|")
    )
    assert dumps(document.model_copy(update={"stages": stages})) == second + first + model


@pytest.mark.parametrize("key", ["stages", "collect", "sweep"])
def test_documents_that_differ_in_an_order_that_means_something_differ(key):
    tree = {**TREE, "collect": {**TREE["collect"], "other": TREE["collect"]["law"]}}
    document, same = validate(tree), validate(tree)
    other = validate({**tree, key: dict(reversed(tree[key].items()))})
    assert document == same
    assert hash(document) == hash(same)
    assert document != other

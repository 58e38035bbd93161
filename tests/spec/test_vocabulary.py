"""Words of other tools are understood, and nothing is suggested that is not meant."""

from typing import Any, get_args, get_origin

import pytest

from ceflow.spec import Document, SpecError, loads
from ceflow.spec.classes import specs
from ceflow.spec.models import layers
from ceflow.spec.suggest import nearest
from ceflow.spec.vocabulary import ABSENT, KEYS, VALUES, plain

TABLES = {
    "document": "{}\nmodel = {{type = 'mlp', widths = [3]}}\n",
    "mlp": "[model]\ntype = 'mlp'\nwidths = [3]\n{}\n",
    "ensemble": "[model]\ntype = 'ensemble'\nmultiplicity = 2\nmember = {{widths = [3]}}\n{}\n",
    "resnext": "[model]\ntype = 'resnext'\nblocks = [1]\nbase_width = 4\n{}\n",
    "bottleneck": "[model]\ntype = 'bottleneck'\nsize = 2\nencoder = {{widths = [3]}}\n"
    "decoder = {{widths = [3]}}\n{}\n",
    "convolution": "[model]\ntype = 'network'\ninputs = [1, 8, 8]\n[[model.layers]]\n"
    "type = 'convolution'\nchannels = 2\n{}\n",
    "average-pool": "[model]\ntype = 'network'\n[[model.layers]]\n"
    "type = 'average-pool'\nwindow = 2\n{}\n",
    "digits": "[model]\ntype = 'mlp'\nwidths = [3]\n[data]\nsource = 'digits'\n{}\n",
    **{
        stage: f"[model]\ntype = 'mlp'\nwidths = [3]\n[stages.s]\ntype = '{stage}'\n{{}}\n"
        for stage in ("kernel", "variance", "search", "flow", "train", "verify")
    },
}

# table, the word, what it is called here
WORDS = [
    ("resnext", "groups", "cardinality"),
    ("resnext", "width_per_group", "base_width"),
    ("resnext", "num_classes", "outputs"),
    ("resnext", "layers", "blocks"),
    ("resnext", "filters", "base_width"),
    ("mlp", "filters", "widths"),
    ("mlp", "hidden_sizes", "widths"),
    ("mlp", "depth", "widths"),
    ("mlp", "sigma_w", "weight_variance"),
    ("mlp", "W_std", "weight_variance"),
    ("mlp", "b_std", "bias_variance"),
    ("mlp", "nonlinearity", "activation"),
    ("mlp", "numClasses", "outputs"),
    ("ensemble", "n_members", "multiplicity"),
    ("ensemble", "ensemble_size", "multiplicity"),
    ("bottleneck", "latent_dim", "size"),
    ("convolution", "kernel_size", "kernel"),
    ("convolution", "strides", "stride"),
    ("average-pool", "strides", "stride"),
    ("document", "dtype", "precision"),
    ("document", "rng", "seed"),
    ("document", "random_state", "seed"),
    ("document", "dataset", "data"),
    ("digits", "normalize", "normalise"),
    ("digits", "horizontal_flip", "flips"),
    ("digits", "zca_reg", "zca"),
    ("digits", "n_train", "train"),
    ("train", "lr", "learning_rate"),
    ("train", "batch_size", "batch"),
    ("train", "iterations", "steps"),
    ("train", "num_epochs", "epochs"),
    ("flow", "t_max", "time"),
    ("kernel", "diag_reg", "ridge"),
    ("kernel", "n_samples", "draws"),
]


def help_of(table: str, line: str) -> str:
    with pytest.raises(SpecError) as caught:
        loads(TABLES[table].format(line))
    last = line.split()[0]
    (fault,) = (each for each in caught.value.faults if each.path[-1:] == (last,))
    return fault.help


@pytest.mark.parametrize(("table", "word", "ours"), WORDS)
def test_a_key_of_another_tool_is_known_by_its_name_here(table, word, ours):
    assert f"{ours}" in help_of(table, f"{word} = 1").split(":")[0].split()[-1].rstrip("?")


VALUES_TRIED = [
    ("mlp", "activation", "ReLU", "relu"),
    ("mlp", "activation", "Leaky_ReLU", "leaky-relu"),
    ("mlp", "activation", "swish", "silu"),
    ("document", "precision", "float", "float32"),
    ("document", "precision", "fp32", "float32"),
    ("document", "precision", "double", "float64"),
    ("kernel", "kind", "NTK", "ntk"),
    ("kernel", "method", "infinite", "analytic"),
    ("flow", "loss", "cross_entropy", "cross-entropy"),
    ("flow", "solver", "dopri5", "tsit5"),
]


@pytest.mark.parametrize(("table", "key", "value", "ours"), VALUES_TRIED)
def test_a_value_of_another_tool_is_known_by_its_name_here(table, key, value, ours):
    assert help_of(table, f"{key} = '{value}'").removesuffix("?").split()[-1] == ours


@pytest.mark.parametrize(
    ("tag", "text", "ours"),
    [
        ("mnist", "[data]\nsource = 'mnist'\n[model]\ntype = 'mlp'\nwidths = [3]\n", "idx"),
        ("resnet", "[model]\ntype = 'resnet50'\n", "resnext"),
        ("sgd", TABLES["kernel"].replace("kernel", "sgd").format(""), "train"),
        ("NTK", TABLES["kernel"].replace("kernel", "NTK").format(""), "kernel"),
    ],
)
def test_a_kind_of_another_tool_is_known_by_its_name_here(tag, text, ours):
    with pytest.raises(SpecError, match=f"here it is called {ours}"):
        loads(text)


@pytest.mark.parametrize(
    ("table", "word", "said"),
    [
        ("mlp", "seed", "seed stands at the top of a document"),
        ("kernel", "time", 'time is a key of [stages.NAME] with type = "flow"'),
        ("mlp", "train", "train is a key of [data]"),
        ("ensemble", "activation", "activation stands in the table member"),
        ("bottleneck", "outputs", "outputs stands in the table encoder or decoder"),
        ("document", "device", "JAX chooses"),
        ("mlp", "zzz", "one of type, widths"),
        *(("flow", word, "time is learning rate x steps") for word in ("lr", "optimizer")),
        ("flow", "learning_rate", "time is learning rate x steps"),
        ("mlp", "lr", 'learning_rate is a key of [stages.NAME] with type = "train"'),
        ("document", "learning_rate", 'a key of [stages.NAME] with type = "train"'),
        ("document", "epochs", 'a key of [stages.NAME] with type = "train"'),
    ],
)
def test_a_key_that_does_not_stand_there_is_told_where_it_does(table, word, said):
    assert said in help_of(table, f"{word} = 1")


@pytest.mark.parametrize(
    ("table", "line", "said"),
    [
        ("variance", "ratios = 0.5", "ratios = [0.5]"),
        ("search", "budget = 10e6", "as budget = {parameters = 1e+07}"),
    ],
)
def test_a_value_of_another_form_is_shown_in_its_own(table, line, said):
    assert help_of(table, line) == said


def test_a_stage_at_the_top_is_told_where_stages_stand():
    assert help_of("document", "train = {lr = 0.1}") == 'say [stages.NAME] with type = "train"'


@pytest.mark.parametrize(
    ("word", "candidates", "meant"),
    [
        ("groups", ["outputs"], None),
        ("momentum", ["moments", "mode"], "moments"),  # two slips: the table of words goes first
        ("width_per_group", ["widths"], None),
        ("alhpa", ["alpha"], "alpha"),
        ("widht", ["widths"], "widths"),
        ("mpl", ["mlp"], "mlp"),
        ("x", ["y"], None),
        ("stage", ["stages"], "stages"),
        ("", ["a"], None),
        ("a" * 200, ["a" * 200], None),
    ],
)
def test_only_slips_are_suggested(word, candidates, meant):
    assert nearest(word, candidates) == meant


def kinds_below(annotation: Any) -> set[type]:
    found = set(specs(annotation))
    return found.union(
        *(kinds_below(field.annotation) for kind in found for field in kind.model_fields.values())
    )


KINDS = kinds_below(Document) | set(get_args(layers.KINDS))
NAMES = {key for kind in KINDS for key in kind.model_fields}


def choices(annotation: Any) -> set[str]:
    """The words that an annotation allows."""
    if get_origin(annotation) is not None and any(isinstance(a, str) for a in get_args(annotation)):
        return set(get_args(annotation))
    return set().union(*(choices(each) for each in get_args(annotation)), set())


def test_what_is_suggested_exists():
    allowed = set().union(
        *(choices(field.annotation) for kind in KINDS for field in kind.model_fields.values())
    )
    assert {key for keys in KEYS.values() for key in keys} <= NAMES
    assert {value for values in VALUES.values() for value in values} <= allowed


def test_what_is_said_to_be_absent_is_no_key():
    assert not set(ABSENT) & {plain(name) for name in NAMES}
    assert not set(ABSENT) & set(KEYS)

"""Writing: what is written reads back as the same document."""

import math
import tomllib
from typing import get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceflow.spec import (
    Block,
    Bottleneck,
    Budget,
    Chain,
    Cifar10,
    Cifar100,
    Circle,
    Data,
    DataTable,
    DeepGp,
    Digits,
    Document,
    Emnist,
    Ensemble,
    External,
    Flow,
    Gaussian,
    Idx,
    ImageFiles,
    Imagenet32,
    Imagenet64,
    Kernel,
    LearningRates,
    Mlp,
    Model,
    Network,
    Npz,
    Resnext,
    Search,
    Stage,
    Stop,
    Train,
    Variance,
    Verify,
    dumps,
    loads,
    tree_of,
)

COUNTS = st.integers(1, 10**9)
POSITIVE = st.floats(min_value=0, exclude_min=True, allow_infinity=False, allow_nan=False)
LIMITS = st.floats(min_value=0, max_value=1e18, exclude_min=True)
NON_NEGATIVE = st.floats(min_value=0, allow_infinity=False, allow_nan=False)
VARIANCES = st.floats(1e-12, 1e12)
ERRORS = st.none() | st.floats(1e-6, 1)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)  # no lone surrogates
OPTIONAL_COUNTS = st.none() | COUNTS
CLASSES = st.none() | st.lists(WORDS, min_size=1, max_size=3)
NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{0,8}", fullmatch=True)

SOURCE = {
    "train": OPTIONAL_COUNTS,
    "test": st.none() | st.integers(0, 10**9),
    "normalise": st.sampled_from(["none", "unit", "contrast", "standard"]),
    "scale": POSITIVE,
}
FRACTIONS = st.floats(0, 1, exclude_max=True)
DROPS = st.lists(st.floats(0.01, 0.99), min_size=1, max_size=3, unique=True).map(sorted)
RECIPE = {
    "optimizer": st.sampled_from(["sgd", "adam", "adamw"]),
    "momentum": FRACTIONS,
    "nesterov": st.booleans(),
    "betas": st.tuples(FRACTIONS, FRACTIONS),
    "weight_decay": NON_NEGATIVE,
    "decay": st.sampled_from(["all", "weights"]),
    "schedule": st.sampled_from(["constant", "cosine"])
    | st.fixed_dictionaries({"at": DROPS, "factor": POSITIVE}),
    "warmup": FRACTIONS | st.integers(1, 10**6).map(float),
    "clip": st.none() | POSITIVE,
    "average": st.none() | FRACTIONS,
    "label_smoothing": FRACTIONS,
    "replicas": COUNTS,
    "compute": st.sampled_from([None, "bfloat16"]),
}
TARGETS = st.sampled_from(["one-hot", "signed", "raw"])
LABELLED = {
    **SOURCE,
    "targets": TARGETS,
    "flips": st.booleans(),
    "zca": st.none() | NON_NEGATIVE,
    "augment": st.lists(
        st.sampled_from(["color-jitter", "crop", "resized-crop", "flip"]), max_size=3, unique=True
    ).map(tuple),
}
FILES = {**LABELLED, "path": WORDS}
MLP = {
    "widths": st.lists(st.just(math.inf) | COUNTS, min_size=1, max_size=4),
    "inputs": OPTIONAL_COUNTS,
    "outputs": OPTIONAL_COUNTS,
    "activation": st.sampled_from(["relu", "linear", "erf", "tanh"]),
    "weight_variance": VARIANCES,
    "last_variance": VARIANCES,
    "bias_variance": st.just(0.0) | VARIANCES,
}
OWN = {"weight_variance": st.none() | VARIANCES, "bias_variance": st.none() | VARIANCES}
LAYERS = {
    "dense": {"units": st.just(math.inf) | COUNTS, **OWN},
    "convolution": {
        "channels": st.none() | st.just(math.inf) | COUNTS,
        "kernel": st.integers(1, 9),
        "stride": st.integers(1, 3),
        "padding": st.sampled_from(["same", "valid", "circular", 0, 3]),
        "groups": st.sampled_from(["depthwise", 1, 4]),
        **OWN,
    },
    "activation": {"name": st.sampled_from(["relu", "erf"])},
    "batch-norm": {},
    "layer-norm": {
        "axes": st.sampled_from(["all", "channels"]),
        "affine": st.booleans(),
        "epsilon": st.floats(1e-12, 1),
    },
    "scale": {"initial": st.floats(0, 1e6)},
    "position-embedding": {"variance": VARIANCES},
    "average-pool": {"window": st.integers(1, 9), "stride": st.none() | st.integers(1, 9)},
    "max-pool": {
        "window": st.integers(1, 9),
        "stride": st.none() | st.integers(1, 9),
        "padding": st.sampled_from(["same", "valid", 1]),
    },
    "global-average": {},
    "flatten": {},
    "dropout": {"rate": st.floats(0, 0.99)},
    "attention": {"heads": COUNTS, "head_width": st.none() | COUNTS, **OWN},
}
"""Keys of each kind of layer that holds no others."""
NEEDED = {"name", "window"}
HOLDERS = ["residual", "ensemble", "sequence", "token-mixing"]


@st.composite
def layers(draw, depth=2):
    """Layers by name and as tables, and some that hold others."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        kind = draw(st.sampled_from(["name", *(HOLDERS if depth else []), *LAYERS]))
        if kind == "name":
            found.append(draw(st.sampled_from(["relu", "flatten", "layer-norm"])))
        elif kind == "residual":
            branches = {key: draw(layers(depth - 1)) for key in ("body", "shortcut")}
            found.append({"type": kind, **branches})
        elif kind == "ensemble":
            multiplicity, member = draw(COUNTS), draw(layers(depth - 1))
            found.append({"type": kind, "multiplicity": multiplicity, "layers": member})
        elif kind in ("sequence", "token-mixing"):
            found.append({"type": kind, "layers": draw(layers(depth - 1))})
        else:
            keys = {
                key: draw(values)
                for key, values in LAYERS[kind].items()
                if key in NEEDED or draw(st.booleans())
            }
            found.append({"type": kind, "repeat": draw(st.integers(1, 3)), **keys})
    return found


HALF = {
    "widths": st.just([math.inf]) | st.lists(COUNTS, min_size=1, max_size=3),
    "activation": MLP["activation"],
    "weight_variance": VARIANCES,
    "bias_variance": st.just(0.0) | VARIANCES,
}
"""Keys of a half of a network with a bottleneck; most of such are right."""
MODEL_KEY = {"model": st.none()}  # what they refer to is drawn with the document
DESCENT = {
    "loss": st.sampled_from(["mse", "cross-entropy"]),
    "reduction": st.sampled_from(["sum", "mean", "mean-all"]),
    "width": COUNTS,
    "sampling": st.sampled_from(["iid", "orthogonal", "quasi-random"]),
    "stop": st.none() | st.builds(Stop, train_loss=POSITIVE),
}
RATES = st.builds(LearningRates, relative=POSITIVE) | st.builds(
    LearningRates, encoder=POSITIVE, decoder=POSITIVE
)
KEYS = {
    Digits: {**LABELLED, "classes": CLASSES},
    Idx: {**FILES, "classes": CLASSES},
    Cifar10: {**FILES, "classes": CLASSES},
    Emnist: {**FILES, "classes": CLASSES, "split": st.sampled_from(["byclass", "letters"])},
    Cifar100: {**FILES, "classes": CLASSES, "labels": st.sampled_from(["fine", "coarse"])},
    Imagenet32: {**FILES, "classes": CLASSES},
    Imagenet64: {**FILES, "classes": CLASSES},
    ImageFiles: {
        **FILES,
        "classes": CLASSES,
        "size": st.integers(1, 4096),
        "fit": st.sampled_from(["crop", "stretch"]),
        "channels": st.sampled_from([1, 3]),
        "corrupt": st.sampled_from(["refuse", "skip"]),
    },
    DataTable: {
        **FILES,
        "classes": CLASSES,
        "test_path": st.none() | FILES["path"],
        "label": st.text(max_size=5),
        "columns": CLASSES,
    },
    Npz: FILES,
    # Their None would not be written, and their default is another: see the test of it below.
    Gaussian: {
        **SOURCE,
        "train": COUNTS,
        "test": st.integers(0, 10**9),
        "inputs": COUNTS,
        "outputs": COUNTS,
    },
    DeepGp: {
        **SOURCE,
        "train": COUNTS,
        "test": st.integers(0, 10**9),
        "inputs": COUNTS,
        "outputs": COUNTS,
        "layers": COUNTS,
        "hidden": COUNTS,
        "length": POSITIVE,
    },
    Circle: {"points": COUNTS, "outputs": COUNTS, "scale": POSITIVE},
    Mlp: MLP,
    Block: {
        "channels": COUNTS,
        "widths": st.tuples(COUNTS, COUNTS),
        "cardinality": COUNTS,
        "projection": st.booleans(),
        "outputs": st.none() | COUNTS,
        "activation": st.sampled_from(["relu", "tanh"]),
        "weight_variance": VARIANCES,
        "last_variance": VARIANCES,
    },
    Resnext: {
        "stem": st.sampled_from(["cifar", "imagenet"]),
        "blocks": st.lists(st.integers(1, 2500), min_size=1, max_size=4),
        "cardinality": COUNTS,
        "base_width": COUNTS,
        "zero_init_residual": st.booleans(),
        "inputs": st.none() | st.tuples(COUNTS, COUNTS, COUNTS),
        "outputs": st.none() | COUNTS,
    },
    Ensemble: {"multiplicity": COUNTS, "member": st.deferred(lambda: pieces(Mlp))},
    External: {
        "name": st.sampled_from(["mine", "a-b_2"]),
        "width": OPTIONAL_COUNTS,
        "inputs": st.none() | COUNTS | st.tuples(COUNTS, COUNTS, COUNTS),
        "outputs": OPTIONAL_COUNTS,
        "weights": st.sampled_from([None, "w.eqx"]),
    },
    Network: {
        "layers": layers(),
        "inputs": st.none() | COUNTS | st.tuples(COUNTS, COUNTS, COUNTS),
        "outputs": OPTIONAL_COUNTS,
        "weight_variance": VARIANCES,
        "bias_variance": st.just(0.0) | VARIANCES,
        "parameterisation": st.sampled_from(["ntk", "standard"]),
        "zero_init_residual": st.booleans(),
    },
    Bottleneck: {
        "size": st.just(math.inf) | COUNTS,
        "encoder": st.deferred(lambda: pieces(Mlp, HALF)),
        "decoder": st.deferred(lambda: pieces(Mlp, HALF)),
    },
    Chain: {
        "sizes": st.lists(COUNTS, min_size=1, max_size=1),
        "segments": st.lists(st.deferred(lambda: pieces(Mlp, HALF)), min_size=2, max_size=2),
    },
    Kernel: {
        "from": st.sampled_from([None, "k.npy"]),
        "test_blocks": st.booleans(),
        **MODEL_KEY,
        "kind": st.sampled_from(["ntk", "nngp"]),
        "method": st.sampled_from(["analytic", "empirical", "mean"]),
        "outputs": st.sampled_from(["mean", "full"]),
        "draws": st.none() | COUNTS,
        "error": ERRORS,
        "reference": st.none(),
        "tile": st.none() | COUNTS,
        "spectrum": st.booleans() | st.just("full"),
        "alignment": st.booleans(),
        "ridge": st.none() | NON_NEGATIVE,
        "solver": st.sampled_from(["cholesky", "cg"]),
        "tolerance": st.none() | st.floats(1e-12, 0.1),
    },
    Variance: {
        **MODEL_KEY,
        "at": st.sampled_from([None, "layers.2"]),
        "ratios": st.lists(st.floats(1e-3, 1), min_size=1, max_size=4, unique=True),
        "draws": st.none() | st.integers(100, 10**9),
        "error": st.none(),
        "inputs_law": st.sampled_from([None, "iid", "rectified"]),
        "entries": st.sampled_from(["diagonal", "off-diagonal"]),
        "method": st.sampled_from(["auto", "exact", "sample", "monte-carlo"]),
    },
    Flow: {
        **MODEL_KEY,
        **DESCENT,
        "engine": st.sampled_from([None, "parameters", "linearised", "kernel", "features"]),
        "kernel": st.none(),
        "start": st.none(),
        "time": st.just(math.inf) | POSITIVE,
        "points": COUNTS,
        "times": st.none(),
        "record": st.lists(st.sampled_from(["drift", "kernel", "spectrum"]), max_size=2),
        "entries": st.none() | st.just([(0, 0)]),
        "replicas": COUNTS,
        "solver": st.sampled_from(["auto", "tsit5", "dopri8", "kvaerno5", "rkc"]),
        "rtol": st.none() | st.floats(1e-14, 0.5),
        "atol": st.none() | POSITIVE,
        "steps": COUNTS,
    },
    Search: {
        "widths": st.none() | COUNTS | st.lists(COUNTS, min_size=1, max_size=3),
        **MODEL_KEY,
        "at": st.sampled_from([None, "layers.2"]),
        "variance": st.none(),
        "alpha": st.none() | st.floats(1e-3, 1e3),
        "using": st.sampled_from(["law", "exact"]),
        "cost": st.sampled_from(["parameters", "flops", "latency"]),
        "latency": st.sampled_from([None, "times.csv"]),
        "budget": st.none() | st.builds(Budget, parameters=LIMITS, flops=st.none() | LIMITS),
        "space": st.sampled_from(["ratio", "free"]),
        "tolerance": st.floats(0, 1),
        "compare": st.lists(st.sampled_from(["3x64d", "12x7", "2x5-6d"]), max_size=2),
    },
    Train: {
        **MODEL_KEY,
        **DESCENT,
        **RECIPE,
        "engine": st.sampled_from([None, "features", "history", "kernel", "parameters"]),
        "steps": st.none() | COUNTS,
        "epochs": st.none() | st.floats(0.01, 1e6),
        "batch": st.none() | COUNTS,
        "learning_rate": POSITIVE | RATES,
        "points": COUNTS,
        "moments": st.none() | st.lists(COUNTS, min_size=1, max_size=3),
        "record": st.lists(st.sampled_from(["drift", "embedding"]), max_size=2),
    },
    Verify: {
        **MODEL_KEY,
        "claims": st.lists(st.sampled_from(["lemma-3.1", "eq-5", "lemma-1"]), min_size=1),
        "width": COUNTS,
        "draws": COUNTS,
        "points": COUNTS,
        "steps": COUNTS,
    },
}
TAGS = {"type", "source"}


def members(union):
    """The classes of an annotated union."""
    return get_args(get_args(union)[0])


def pieces(kind, keys=None):
    """Values of a class: keys that must be there, and any of the others."""
    required = {key for key, field in kind.model_fields.items() if field.is_required()}
    keys = keys or KEYS[kind]
    return st.fixed_dictionaries(
        {key: keys[key] for key in keys if key in required},
        optional={key: keys[key] for key in keys if key not in required},
    ).map(lambda given: kind(**given))


@st.composite
def stages(draw, model, data):
    """Stages that are right where they stand: those that would not be are left out."""
    done = {}
    for name in draw(st.lists(NAMES, max_size=4, unique=True)):
        stage = draw(st.one_of(*map(pieces, members(Stage))))
        earlier = {kind: [n for n in done if isinstance(done[n], kind)] for kind in members(Stage)}
        links = {}
        if isinstance(stage, Search) and stage.alpha is None and earlier[Variance]:
            links["variance"] = draw(st.sampled_from(earlier[Variance]))
        if isinstance(stage, Kernel) and earlier[Kernel]:
            links["reference"] = draw(st.none() | st.sampled_from(earlier[Kernel]))
        if earlier[Search]:
            answers = [f"{n}.{part}" for n in earlier[Search] for part in ("primal", "dual")]
            links["model"] = draw(st.none() | st.sampled_from(answers))
        stage = stage.model_copy(update=links)
        if not Document(model=model, data=data, stages={**done, name: stage}).faults():
            done[name] = stage
    return done


@st.composite
def documents(draw):
    models = st.one_of(*map(pieces, members(Model)))
    model = draw(
        models.filter(
            lambda model: not (isinstance(model, Bottleneck | Chain | Network) and model.faults())
        )
    )
    data = draw(st.none() | st.one_of(*map(pieces, members(Data))))
    document = Document(
        name=draw(NAMES),
        seed=draw(st.integers(0, 2**63 - 1)),
        precision=draw(st.sampled_from(["float32", "float64"])),
        data=data,
        model=model,
        stages=draw(stages(model, data)),
    )
    # some of its numbers float32 may not have
    return document.model_copy(update={"precision": "float64"}) if document.faults() else document


def test_every_key_of_the_language_is_generated():
    classes = [kind for union in (Data, Model, Stage) for kind in members(union)]
    assert set(KEYS) == set(classes)
    for kind in classes:
        assert set(KEYS[kind]) == set(kind.model_fields) - TAGS


@pytest.mark.parametrize("defaults", [False, True])
@pytest.mark.parametrize("syntax", ["toml", "json"])
@settings(
    derandomize=True,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(document=documents())
def test_what_is_written_reads_back_as_the_same_document(syntax, defaults, document):
    read = loads(dumps(document, syntax, defaults=defaults), syntax)
    assert read == document
    assert list(read.stages) == list(document.stages)  # their order is part of what they say


@settings(derandomize=True, deadline=None, max_examples=50)
@given(document=documents())
def test_writing_again_what_was_read_gives_the_same_text(document):
    text = dumps(document)
    assert dumps(loads(text)) == text


@pytest.mark.parametrize(
    "name", ["x\ty", "a\\b", "a\"b'c", "'''", '"""', "é😀", "#", "\x00\x7f\r\n"]
)
@pytest.mark.parametrize("syntax", ["toml", "json"])
def test_any_path_survives(syntax, name):
    document = Document(model=Mlp(widths=(3,)), data=Npz(path=name))
    assert loads(dumps(document, syntax), syntax) == document


WRITTEN = """\
ceflow = 1
seed = 3

[model]
type = "mlp"
widths = [3, inf]

[stages.b]
type = "variance"

[stages.a]
type = "search"
variance = "b"
"""


def test_keys_at_their_default_are_left_out():
    document = Document(
        seed=3,
        name="untitled",
        model=Mlp(widths=(3, math.inf), activation="relu"),
        stages={"b": Variance(), "a": Search(variance="b")},
    )
    assert dumps(document) == WRITTEN


def test_all_keys_are_written_where_defaults_are_asked_for():
    tree = tomllib.loads(dumps(Document(model=Mlp(widths=(3,))), defaults=True))
    unset = {"inputs", "outputs"}
    assert set(tree["model"]) == set(Mlp.model_fields) - unset
    assert set(tree) == set(Document.model_fields) - {"data", "sweep"}


def test_a_tag_comes_first_in_its_table():
    for spec in (Ensemble(multiplicity=1, member=Mlp(widths=(1,))), Kernel(spectrum=True)):
        assert next(iter(tree_of(spec))) == "type"


def test_json_has_no_infinity():
    text = dumps(Document(model=Mlp(widths=(3, math.inf))), "json")
    assert '"inf"' in text
    assert "Infinity" not in text


def test_json_keeps_characters_readable():
    assert "é" in dumps(Document(model=Mlp(widths=(3,)), data=Npz(path="é")), "json")


def test_a_tree_is_of_plain_values():
    tree = tree_of(Document(model=Ensemble(multiplicity=2, member=Mlp(widths=(3, 4)))))
    assert tree == {
        "ceflow": 1,
        "model": {
            "type": "ensemble",
            "multiplicity": 2,
            "member": {"type": "mlp", "widths": [3, 4]},
        },
    }
    assert type(tree["model"]["member"]["widths"]) is list

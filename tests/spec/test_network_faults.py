"""Faults of networks of layers, each at its layer; sweeps and settings of values inside layers."""

import json
from typing import Any

import pytest

from ceflow.compiler import compile
from ceflow.spec import Fault, SpecError, Text, loads, stack, variants
from ceflow.spec.document import Document
from ceflow.spec.reading import examined
from ceflow.spec.text import Path

HEAD = """\
[data]
source = "gaussian"
inputs = 192
train = 3
outputs = 2
[stages.k]
type = "kernel"
method = "METHOD"
"""
CONVOLUTION = '{type = "convolution", channels = 8}'


def inline(layers: str, method: str = "empirical") -> str:
    """The second layer stands on line 14."""
    model = f'[model]\ntype = "network"\ninputs = [3, 8, 8]\nlayers = [\n{layers}\n]\n'
    return HEAD.replace("METHOD", method) + model


def faults_of(text: str, syntax: Any = "toml") -> tuple[Fault, ...]:
    with pytest.raises(SpecError) as caught:
        compile(loads(text, syntax))
    return caught.value.faults


FITS = [
    # second layer, path below it, code, message, help
    ('"rellu",', (), "CE105", "unknown layer 'rellu'", "did you mean relu?"),
    (
        '{type = "activation", name = "reul"},',
        ("name",),
        "CE105",
        "unknown name 'reul'",
        "did you mean relu?",
    ),
    ('{type = "denze"},', ("type",), "CE105", "unknown type 'denze'", "did you mean dense?"),
    (
        '{type = "convolution", kernal = 3},',
        ("kernal",),
        "CE101",
        "unknown key 'kernal'",
        "did you mean kernel?",
    ),
    (
        '{type = "dense"},',
        (),
        "CE204",
        "a dense layer takes vectors, and gets an image of 8 x 8 x 8",
        '"flatten" or "global-average"',
    ),
    (
        '{type = "average-pool", window = 9},',
        ("window",),
        "CE204",
        "a window of 9 is larger than an image of 8 x 8 x 8",
        "take a smaller window",
    ),
    (
        '{type = "convolution", channels = 4, kernel = 9, padding = "valid"},',
        ("kernel",),
        "CE204",
        "a kernel of 9 is larger than an image of 8 x 8 x 8",
        "take a smaller kernel",
    ),
    (
        '{type = "convolution", channels = 4, groups = 3},',
        ("groups",),
        "CE204",
        "8 input channels cannot be split into 3 groups",
        "divides both",
    ),
    (
        '{type = "convolution", channels = 4, kernel = 20, padding = "circular"},',
        ("kernel",),
        "CE204",
        "goes around an image of 8 x 8 x 8 more than once",
        "take a smaller kernel",
    ),
    (
        '{type = "attention", heads = 3},',
        ("heads",),
        "CE204",
        "8 channels cannot be split among 3 heads",
        "give head_width",
    ),
    (
        '{type = "max-pool", window = 2, padding = 2},',
        ("padding",),
        "CE204",
        "padding of 2 fills a window of 2",
        "less padding",
    ),
    (
        '{type = "residual", body = [{type = "average-pool", window = 2}]},',
        ("body",),
        "CE204",
        "the body gives an image of 8 x 4 x 4, and its input is an image of 8 x 8 x 8",
        "shortcut",
    ),
    (
        '{type = "residual", body = ["relu"], shortcut = ["flatten"]},',
        ("body",),
        "CE204",
        "gives an image of 8 x 8 x 8, and the shortcut gives a vector of 512",
        "shortcut",
    ),
    (
        '{type = "ensemble", multiplicity = 2, layers = ["relu", "global-average", "batch-norm",'
        ' {type = "max-pool", window = 2}]},',
        ("layers", 3),
        "CE204",
        "max-pool takes images, and gets a vector of 8",
        "before the layer that makes a vector",
    ),
    (
        '{type = "convolution"},',
        (),
        "CE102",
        "the key 'channels' is missing",
        "only the last convolution",
    ),
    ('{type = "dropout", rate = 1},', ("rate",), "CE104", "rate must be below 1", ""),
]


@pytest.mark.parametrize(("layer", "below", "code", "message", "help"), FITS)
def test_a_layer_that_is_wrong_is_told_at_its_place(
    layer: str, below: tuple[str | int, ...], code: str, message: str, help: str
):
    (fault,) = faults_of(inline(f'{CONVOLUTION},\n{layer}\n"global-average", "dense"'))
    assert (fault.code, fault.path) == (code, ("model", "layers", 1, *below))
    assert message in fault.message
    assert help in fault.help
    assert fault.place is not None
    assert fault.place.line == 14
    assert fault.place.text.strip() == layer


def test_places_in_arrays_of_tables_and_in_json():
    tables = (
        HEAD.replace("METHOD", "empirical")
        + """\
[model]
type = "network"
inputs = [3, 8, 8]
[[model.layers]]
type = "convolution"
channels = 8
[[model.layers]]
type = "residual"
[[model.layers.body]]
type = "average-pool"
window = 9
[[model.layers]]
type = "dense"
"""
    )
    (fault,) = faults_of(tables)
    path = ("model", "layers", 1, "body", 0, "window")
    assert fault.path == path
    assert fault.place is not None
    assert (fault.place.line, fault.place.column) == (19, 10)
    layers = ["relu", {"type": "residual", "body": [{"type": "average-pool", "window": 9}]}]
    model = {"type": "network", "inputs": [3, 8, 8], "layers": layers}
    (fault,) = faults_of(json.dumps({"model": model}, indent=1), "json")
    assert fault.path == path
    assert fault.place is not None
    assert (fault.place.line, fault.place.text.strip()) == (16, '"window": 9')


@pytest.mark.parametrize(
    ("layers", "index", "code", "message"),
    [
        (f'{CONVOLUTION}, "relu"', 1, "CE204", "ends in an image of 8 x 8 x 8, not in a vector"),
        ('"flatten", {type = "dense", units = inf}', 1, "CE203", "infinitely many outputs"),
        ('"flatten", {type = "dense", units = 5}', 1, "CE204", "has 5 outputs, the data have 2"),
    ],
)
def test_a_network_must_end_in_the_outputs(layers: str, index: int, code: str, message: str):
    (fault,) = faults_of(inline(layers))
    assert (fault.code, fault.path[:3]) == (code, ("model", "layers", index))
    assert fault.path[3:] == (("units",) if "data" in message else ())
    assert message in fault.message


LIMITS = [
    # layers, the index of the one at fault, what is said of it
    (f'{CONVOLUTION}, "batch-norm", "global-average", "dense"', (1,), "batch-norm has no kernel"),
    (
        f'{CONVOLUTION}, {{type = "max-pool", window = 2}}, "flatten", "dense"',
        (1,),
        "max-pool has no kernel",
    ),
    (f'{CONVOLUTION}, {{type = "attention"}}, "flatten", "dense"', (1,), "attention has no kernel"),
    (f'{CONVOLUTION}, "relu", "erf", "flatten", "dense"', (2,), "erf acts on values that are not"),
    (
        '{type = "activation", name = "relu", repeat = 2}, "flatten", "dense"',
        (0,),
        "relu acts on values that are not Gaussian",
    ),
    (f'{CONVOLUTION}, "flatten", "relu", "dense"', (2,), "relu acts on values that are not"),
    (
        '{type = "convolution", channels = 6, groups = 3}, "relu", "flatten", "dense"',
        (1,),
        "relu acts on values that are not Gaussian",
    ),
    (
        f'{CONVOLUTION}, {{type = "convolution", groups = "depthwise"}}, "erf", "flatten", "dense"',
        (2,),
        "erf acts on values that are not Gaussian",
    ),
    (
        f'{{type = "convolution", groups = "depthwise"}}, {CONVOLUTION}, "flatten", "dense"',
        (0,),
        "only as many channels as the inputs",
    ),
    (
        f'{{type = "residual", body = [{{type = "convolution", channels = 3}}]}}, {CONVOLUTION},'
        ' "flatten", "dense"',
        (0,),
        "only as many channels as the inputs",
    ),
    (
        f'{CONVOLUTION}, {{type = "residual", body = [{CONVOLUTION}, "relu"]}}, "flatten", "dense"',
        (1,),
        "neither branch ends in weights",
    ),
    (f'{CONVOLUTION}, "layer-norm", "relu", "flatten", "dense"', (2,), "does not factorise"),
    (f'{CONVOLUTION}, "relu", "layer-norm", "flatten", "dense"', (2,), "mean at infinite width"),
    (f'{CONVOLUTION}, "global-average", "dense", "relu"', (3,), "outputs of the network are not"),
    (f'{CONVOLUTION}, "global-average", "dense", "layer-norm"', (3,), "acts on the outputs"),
    (
        f'{CONVOLUTION}, {{type = "ensemble", multiplicity = 2, layers = [{CONVOLUTION}, "relu"]}},'
        f' {CONVOLUTION}, "flatten", "dense"',
        (1,),
        "the members are correlated",
    ),
    (
        f'{CONVOLUTION}, {{type = "ensemble", multiplicity = 3, layers = [{{type = "residual",'
        f' body = ["relu", {CONVOLUTION}]}}]}}, "flatten", "dense"',
        (1,),
        "the members are correlated",
    ),
    (
        f'{CONVOLUTION}, {{type = "ensemble", multiplicity = 2, layers = [{{type ='
        ' "average-pool", window = 2}]}, "flatten", "dense"',
        (1,),
        "the members are correlated",
    ),
    (
        f'{CONVOLUTION}, {{type = "ensemble", multiplicity = 2, layers = ["batch-norm"]}},'
        ' "flatten", "dense"',
        (1, "layers", 0),
        "batch-norm has no kernel",
    ),
]


@pytest.mark.parametrize(("layers", "below", "message"), LIMITS)
def test_what_has_no_limit_is_told_at_its_layer(
    layers: str, below: tuple[str | int, ...], message: str
):
    faults = faults_of(inline(layers, "analytic"))
    (fault,) = [each for each in faults if each.code == "CE203"]
    assert fault.path == ("model", "layers", *below)
    assert message in fault.message
    assert fault.help


SWEPT = '{type = "convolution", channels = 4},\n"relu", "global-average", "dense"'


def swept(sweep: str) -> Document:
    return loads(inline(SWEPT) + f"[sweep]\n{sweep}\n", "toml")


def test_a_sweep_goes_into_layers_by_their_numbers():
    found = variants(swept('"model.layers.0.channels" = [4, 8]\n"model.layers.1" = ["erf", "abs"]'))
    assert list(found) == [f"channels={n},1={name}" for n in (4, 8) for name in ("erf", "abs")]
    widths = [each.model.widths for each in found.values()]
    assert widths == [(4,), (4,), (8,), (8,)]
    assert found["channels=8,1=abs"].model.activations == {"abs"}


@pytest.mark.parametrize(
    ("sweep", "code", "path", "message", "help"),
    [
        ('"model.layers.0.channels" = [4, 0]', "CE104", (1,), "from 1 to", ""),
        ('"model.layers.0.chanels" = [4]', "CE101", (), "'chanels'", "did you mean channels?"),
        ('"model.layers.7.units" = [4]', "CE206", (), "no entry 7", "from 0 to 3"),
        ('"model.layers.4" = ["relu"]', "CE206", (), "no entry 4", "from 0 to 3"),
        ('"model.layers.1.name" = ["erf"]', "CE206", (), "no table, but 'relu'", "whole entry"),
        ('"model.layers.x.name" = ["erf"]', "CE206", (), "no entry x", "from 0 to 3"),
        ('"model.layers.1" = ["erf", "rellu"]', "CE105", (1,), "'rellu'", "did you mean relu?"),
        ('"model.layers" = [["flatten", "dense"], ["dense"]]', "CE204", (1, 0), "vectors", ""),
    ],
)
def test_a_fault_of_a_swept_layer_is_told_in_the_sweep(
    sweep: str, code: str, path: tuple[int, ...], message: str, help: str
):
    text = inline(SWEPT) + f"[sweep]\n{sweep}\n"
    (fault,) = faults_of(text)
    swept_path = sweep.split('"')[1]
    assert (fault.code, fault.path) == (code, ("sweep", swept_path, *path))
    assert message in fault.message
    assert help in fault.help
    assert fault.place is not None
    assert fault.place.text.strip() == sweep


def with_settings(*settings: str) -> Document:
    text = Text("a.toml", inline(SWEPT), "toml", Path())
    return examined(stack(text, settings)).document


def test_a_setting_goes_into_layers_by_their_numbers():
    document = with_settings("model.layers.0.channels=9", "model.layers.1=erf")
    assert document.model.widths == (9,)
    assert document.model.activations == {"erf"}
    assert (
        document.model
        == with_settings(
            'model.layers.0={type="convolution", channels=9}', "model.layers.1='erf'"
        ).model
    )


@pytest.mark.parametrize(
    ("setting", "column", "message", "help"),
    [
        ("model.layers.0.channels=0", 25, "from 1 to", ""),
        ("model.layers.0.chanels=3", 16, "'chanels'", "did you mean channels?"),
        ("model.layers.9.channels=3", 14, "no entry 9 in model.layers", "from 0 to 3"),
        ("model.layers.-1.units=3", 14, "no entry -1 in model.layers", "the last is 3"),
        ("model.layers.01.channels=3", 14, "no entry 01 in model.layers", "write 1"),
        ("model.layers.1.channels=3", 14, 'is "relu", a layer without keys', "from 0"),
        ("model.layers.2={type='average-pool', window=99}", 45, "larger than", "smaller window"),
    ],
)
def test_a_fault_of_a_set_layer_is_told_in_the_setting(
    setting: str, column: int, message: str, help: str
):
    with pytest.raises(SpecError) as caught:
        with_settings(setting)
    (fault,) = caught.value.faults
    assert message in fault.message
    assert help in fault.help
    assert fault.place is not None
    assert (fault.place.file, fault.place.column) == ("--set", column)

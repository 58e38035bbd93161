"""Layers written as other tools have them are answered by how to write them here."""

import re

import pytest

from ceflow.compiler import compile
from ceflow.spec import Fault, SpecError, loads

DOCUMENT = """\
[data]
source = "gaussian"
inputs = 192
train = 3
outputs = 2
[model]
type = "network"
inputs = [3, 8, 8]
layers = [{{type = "convolution", channels = 8}},
{}
"flatten", "dense"]
[stages.k]
type = "kernel"
method = "analytic"
"""
LINE = 10


def faults_of(text: str) -> tuple[Fault, ...]:
    with pytest.raises(SpecError) as caught:
        compile(loads(text))
    return caught.value.faults


def convolution(keys: str) -> str:
    return f'{{type = "convolution", {keys}}},'


CALLED = [
    # the layer, what is wrong, what to do, the layer that is right
    (convolution("out_channels = 4"), "'out_channels'", "called channels", ""),
    (convolution("in_channels = 8, channels = 4"), "'in_channels'", "leave it out", ""),
    ('{type = "batch-norm", num_features = 8},', "'num_features'", "leave it out", ""),
    (
        convolution('channels = 4, activation = "relu"'),
        "'activation'",
        'put "relu" after it, as a layer of its own',
        '"relu"',
    ),
    (convolution('channels = 4, act = "swish"'), "'act'", 'put "silu" after it', '"silu"'),
    (convolution('channels = 4, activation = "softmax"'), "activation", "cross-entropy", ""),
    ('{type = "activation", name = "relu", act_fn = "relu"},', "'act_fn'", "called name", ""),
    (convolution("channels = 4, dilation = 2"), "'dilation'", "are not dilated", ""),
    (convolution("channels = 4, kernel = [3, 3]"), "not [3, 3]", "write 3, for both axes", ""),
    (convolution("channels = 4, kernel = [3, 5]"), "not [3, 5]", "one number, for both", ""),
    (convolution("channels = 4, padding = [1, 1]"), "not [1, 1]", "write 1, for both axes", ""),
    (convolution('channels = 4, padding = "SAME"'), "'SAME'", "did you mean same?", ""),
    (convolution('channels = 4, padding = "reflect"'), "'reflect'", "", ""),
    ('["relu"],', "must be a table", "without brackets around them", ""),
    ('{type = "softmax"},', "'softmax'", 'belongs to loss = "cross-entropy"', ""),
    ('"softmax",', "'softmax'", 'belongs to loss = "cross-entropy"', ""),
    ('{type = "activation", name = "sigmoid"},', "'sigmoid'", "tanh", ""),
    ('"zzzzzz",', "'zzzzzz'", "position-embedding, dropout, dense", ""),
]


@pytest.mark.parametrize(("layer", "message", "help", "right"), CALLED)
def test_a_layer_of_another_tool(layer: str, message: str, help: str, right: str):
    (fault,) = [each for each in faults_of(DOCUMENT.format(layer)) if "layer" in str(each.path)]
    assert message in fault.message
    assert help in fault.help
    assert "..." not in re.sub(r"\[\.\.\.\]", "", fault.help)  # a list is whole
    assert fault.place is not None
    assert (fault.place.line, fault.place.text) == (LINE, layer)
    if right:  # the advice can be followed
        mended = convolution("channels = 4") + right + ","
        assert compile(loads(DOCUMENT.format(mended))).outputs == 2


def test_layers_without_their_table_are_those_of_a_network():
    faults = faults_of('layers = [{type = "dense", units = 3}]\n')
    (fault,) = [each for each in faults if each.path == ("layers",)]
    assert fault.help == 'layers is a key of [model] with type = "network"'


def test_the_shape_of_a_residual_comes_before_its_kernel():
    body = '[{type = "convolution", channels = 16}, "relu"]'
    (fault,) = faults_of(DOCUMENT.format(f'{{type = "residual", body = {body}}},'))
    assert "the body gives an image of 16 x 8 x 8" in fault.message
    kept = body.replace("16", "8")
    (fault,) = faults_of(DOCUMENT.format(f'{{type = "residual", body = {kept}}},'))
    assert "neither branch ends in weights" in fault.message


@pytest.mark.parametrize("word", ["regression", "ridge", "krr"])
def test_a_stage_of_regression_is_a_kernel_with_a_ridge(word: str):
    text = DOCUMENT.format("") + f'[stages.r]\ntype = "{word}"\n'
    (fault,) = faults_of(text)
    assert (fault.path, fault.help.split(",")[0]) == (
        ("stages", "r", "type"),
        "a kernel stage with a ridge",
    )
    advice = dict(re.findall(r"(\w+) = ([^ ,]+)", fault.help))
    mended = "".join(f"{key} = {value}\n" for key, value in advice.items())
    assert compile(loads(DOCUMENT.format("") + f"[stages.r]\n{mended}")).document.stages["r"]


@pytest.mark.parametrize("end", ["inputs", "outputs"])
def test_a_ready_made_network_that_does_not_fit_the_data_is_told_in_the_document(end: str):
    sizes = {"inputs": "inputs = [1, 8, 8]\n", "outputs": "outputs = 10\n"}
    text = 'extends = "ceflow:resnet-18"\n[data]\nsource = "digits"\ntrain = 3\n[model]\n'
    other = "".join(line for key, line in sizes.items() if key != end)
    (fault,) = faults_of(text + other)
    assert fault.help == f"set {sizes[end].strip()} in [model]"
    assert fault.place is not None
    assert fault.place.line == 1
    assert compile(loads(text + "".join(sizes.values()))).outputs == 10


def test_data_that_are_no_images_leave_the_shape_to_the_document():
    data = DOCUMENT.partition("[model]")[0]
    (fault,) = faults_of(f'extends = "ceflow:resnet-18"\n{data}')
    assert fault.help == "set inputs = [channels, height, width] in [model], of 192 numbers"

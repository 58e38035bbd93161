"""The ensemble inside a network that a stage acts on: which it is, and what can be varied in it."""

from typing import Any

import pytest

import ceflow
from ceflow.spec import Block, Mlp, Network, SpecError
from ceflow.spec.models.layers import EnsembleLayer, through
from ceflow.spec.models.widths import changed, free_widths


def convolution(channels: int | None = None, kernel: int = 3, **keys: Any) -> dict[str, Any]:
    given = {} if channels is None else {"channels": channels}
    return {"type": "convolution", "kernel": kernel, **given, **keys}


def ensemble(*layers: Any, members: int = 2) -> EnsembleLayer:
    return EnsembleLayer(multiplicity=members, layers=layers)


def residual(*body: Any, **keys: Any) -> dict[str, Any]:
    return {"type": "residual", "body": body, **keys}


def sequence(*layers: Any, **keys: Any) -> dict[str, Any]:
    return {"type": "sequence", "layers": layers, **keys}


def mixer(*layers: Any) -> dict[str, Any]:
    return {"type": "token-mixing", "layers": layers}


DENSE = {"type": "dense", "units": 7}
DEPTHWISE = convolution(groups="depthwise")
HEADS = {"type": "attention", "heads": 4}
FREE: dict[str, tuple[list[Any], list[tuple[float, int]]]] = {
    "all but the last": ([convolution(8), convolution(12), convolution(3)], [(8, 1), (12, 1)]),
    "depthwise follows": ([convolution(8), DEPTHWISE, convolution(3)], [(8, 1)]),
    "depthwise in numbers": (
        [convolution(8), convolution(8, groups="depthwise"), convolution(3)],
        [(8, 1)],
    ),
    "a multiple of its inputs": (
        [convolution(8), convolution(16, groups="depthwise"), convolution(4), convolution(3)],
        [(4, 1)],
    ),
    "groups": ([convolution(8), convolution(12, groups=4), convolution(3)], [(8, 4), (12, 4)]),
    "heads": ([convolution(8), HEADS, convolution(3)], [(8, 4)]),
    "the identity ties": (
        [convolution(8), residual("relu", convolution(5), convolution(8)), convolution(3)],
        [(8, 1), (5, 1)],
    ),
    "a shortcut ties": (
        [residual(convolution(8), shortcut=[convolution(8, 1)]), convolution(3)],
        [(8, 1)],
    ),
    "tied to the inputs": ([residual(convolution(5), convolution(3)), convolution(3)], [(5, 1)]),
    "depthwise at the end": ([convolution(8), convolution(3), DEPTHWISE], [(8, 1)]),
    "flattened": ([convolution(8), "flatten", DENSE, DENSE], [(8, 1), (7, 1)]),
    "flattened at the end": ([convolution(8), convolution(5), "flatten"], [(8, 1)]),
    "flattened and tied": (
        [residual(convolution(8), "flatten", shortcut=["flatten", {**DENSE, "units": 128}]), DENSE],
        [],
    ),
    "repeated": ([convolution(8, repeat=3), convolution(3)], [(8, 1)]),
    "in sequences": (
        [sequence(convolution(8), residual(convolution(5), convolution(8))), convolution(3)],
        [(8, 1), (5, 1)],
    ),
    "over 16 positions": (
        [convolution(8), mixer(convolution(5, 1), convolution(16, 1)), "scale", convolution(3)],
        [(8, 1), (5, 1)],
    ),
    "inside another": (
        [ensemble(convolution(8), convolution(5)), convolution(3)],
        [(8, 1), (5, 1)],
    ),
}


@pytest.mark.parametrize("name", FREE)
def test_widths_that_can_be_chosen_are_found_and_others_fit(name):
    layers, expected = FREE[name]
    tree = ensemble(*layers).layers
    free = free_widths(tree)
    assert [(each.value, each.step) for each in free] == expected
    before = through(tree, (3, 4, 4))
    other = {path: {_key(tree, path): 4 * each.value} for each in free for path in each.paths}
    assert through(changed(tree, other), (3, 4, 4)) == before


def _key(layers: Any, path: Any) -> str:
    index, *deeper = path
    if deeper:
        return _key(getattr(layers[index], deeper[0]), deeper[1:])
    return layers[index].width_key


def network(*layers: Any, inputs: Any = (3, 8, 8), **keys: Any) -> Network:
    end = ["global-average", {"type": "dense", "units": 2}]
    return Network(inputs=inputs, layers=[*layers, *end], **keys)


def alone(*layers: Any, **keys: Any) -> Network:
    return Network(inputs=5, layers=list(layers), **keys)


def member(*layers: Any) -> Any:
    return network(ensemble(*layers)).focused("layers.0").member


def test_a_path_chooses_one_of_several():
    one, two = ensemble(convolution(8), convolution(4)), ensemble(convolution(5), convolution(4))
    model = network(one, residual("relu", two))
    found = model.focused("layers.1.body.1")
    assert (found.widths, found.place) == ((5,), "layers.1.body.1")
    assert model.focused("layers.0").widths == (8,)
    assert found.member.inputs == (4, 8, 8)
    assert found.whole == model


def test_other_members_change_that_layer_alone():
    inner = ensemble(convolution(8), convolution(4))
    model = network(inner, residual("relu", inner))
    found = model.focused("layers.1.body.1").with_members((3,), 7)
    changed_there = ensemble(convolution(3), convolution(4), members=7)
    assert found.whole == network(inner, residual("relu", changed_there))
    assert (found.widths, found.multiplicity) == ((3,), 7)


def test_a_network_without_an_ensemble_becomes_one_of_whole_networks():
    dense = alone(DENSE, "relu", {"type": "dense", "units": 2})
    found = dense.focused(None)
    assert (found.widths, found.multiplicity, found.place) == ((7,), 1, None)
    several = found.with_members((3,), 4)
    layers = [{**DENSE, "units": 3}, "relu", {"type": "dense", "units": 2}]
    assert several.whole == alone(ensemble(*layers, members=4))
    again = several.with_members((7,), 1).member
    assert (again.at, found.member.at) == (("layers", 0), ())
    assert again.replaced({"at": ()}) == found.member


KNOWN: dict[str, tuple[Any, Any]] = {
    "an mlp": (
        alone(DENSE, "erf", {"type": "dense", "units": 2}, bias_variance=0.1),
        Mlp(inputs=5, outputs=2, widths=[7], activation="erf", last_variance=2, bias_variance=0.1),
    ),
    "a block": (
        network(
            ensemble(
                *(convolution(4, 1), "relu", convolution(5, stride=2), "relu"),
                convolution(6, 1, weight_variance=1.0),
            )
        ),
        Block(channels=3, widths=[4, 5], outputs=6),
    ),
    "on an image smaller than a patch": (
        network(
            ensemble(convolution(4, 1), "relu", convolution(5), "relu", convolution(6, 1)),
            inputs=(3, 2, 2),
        ),
        None,
    ),
    "two activations": (
        alone(DENSE, "erf", DENSE, "relu", {"type": "dense", "units": 2}),
        None,
    ),
    "two variances": (
        alone(DENSE, "erf", {**DENSE, "weight_variance": 3.0}, "erf", DENSE),
        None,
    ),
    "standard weights": (
        alone(DENSE, "erf", DENSE, parameterisation="standard"),
        None,
    ),
    "no activation between": (alone(DENSE, DENSE), None),
    "another order": (alone("relu", DENSE, "relu", DENSE), None),
}


@pytest.mark.parametrize("name", KNOWN)
def test_members_with_a_law_that_is_known_are_recognised(name):
    model, expected = KNOWN[name]
    assert model.focused(None).member.known == expected


SUMS: dict[str, tuple[list[Any], float]] = {
    "but for the first": ([convolution(8), convolution(4, 1), convolution(6)], 1 / 8 + 1 / 36),
    "groups": ([convolution(8), convolution(8, groups=4), convolution(6)], 4 / 72 + 1 / 72),
    "depthwise": ([convolution(8), DEPTHWISE, convolution(6, 1)], 1 / 8),
    "depthwise first": ([DEPTHWISE, convolution(8, 1), convolution(6, 1)], 1 / 3 + 1 / 8),
    "repeated": ([convolution(8, repeat=3), convolution(6, 1)], 2 / 72 + 1 / 8),
    "members": ([ensemble(convolution(8), convolution(4)), convolution(6, 1)], 1 / 144 + 1 / 4),
    "branches": (
        [residual(convolution(8), convolution(4), shortcut=[convolution(4)]), convolution(6, 1)],
        1 / 72 + 1 / 4,
    ),
    "attention": ([convolution(8), HEADS, convolution(6, 1)], 1 / 8 + 1 / 8 + 1 / 8),
    "sequences": ([sequence(convolution(8), repeat=3), convolution(6, 1)], 2 / 72 + 1 / 8),
    "over 64 positions": (
        [convolution(8), mixer(convolution(5, 1), convolution(64, 1)), convolution(6, 1)],
        1 / 64 + 1 / 5 + 1 / 8,
    ),
}


@pytest.mark.parametrize("name", SUMS)
def test_s_is_over_layers_that_average_over_hidden_channels(name):
    layers, expected = SUMS[name]
    assert member(*layers).fan_in_sum == pytest.approx(expected, rel=1e-12)  # roundings


RELU: dict[str, tuple[tuple[Any, ...], bool]] = {
    "first": ((), False),
    "behind it": (("relu",), True),
    "behind a pool": (("relu", {"type": "max-pool", "window": 2}, "dropout"), True),
    "behind another": (("relu", "tanh"), False),
    "behind weights": (("relu", convolution(4)), False),
}


@pytest.mark.parametrize("name", RELU)
def test_inputs_are_rectified_behind_a_relu(name):
    before, is_rectified = RELU[name]
    inner = ensemble(convolution(8), convolution(4))
    law = "rectified" if is_rectified else "iid"
    for after in (inner, residual(inner, shortcut=[convolution(4)])):
        assert network(*before, after).focused(None).member.usual_inputs == law
    inside = network(*before, residual("tanh", inner, shortcut=[convolution(4)]))
    assert inside.focused(None).member.usual_inputs == "iid"


TEXT = """\
ceflow = 1
[model]
type = "network"
inputs = [3, 8, 8]
layers = [
  {{{kind}, layers = [
      {{type = "convolution", channels = {width}}}, {{type = "convolution", channels = 4}}]}},
  {layer}, "global-average", {end}]
[stages.alpha]
type = "variance"
{keys}
"""
WRONG: dict[str, tuple[dict[str, str], str, int, int, str]] = {
    "several": (
        {"layer": '{type = "ensemble", multiplicity = 2, layers = ["relu"]}'},
        *("CE202", 9, 9, "2 ensembles: layers.0, layers.1"),
    ),
    "no such path": (
        {"keys": 'at = "layers.2"'},
        "CE201",
        11,
        6,
        "name layers.0; or put it, or several layers, into",
    ),
    "a path to another layer": (
        {"keys": 'at = "layers.0.layers.1"'},
        *("CE201", 11, 6, 'layers.0.layers.1 is no ensemble, but a layer of type "convolution"'),
    ),
    "a layer where no ensemble is": (
        {"keys": 'at = "layers.0"', "kind": 'type = "sequence"'},
        *("CE201", 11, 6, 'into {type = "ensemble", multiplicity = 1, layers = [...]}'),
    ),
    "a path where no ensemble is": (
        {"keys": 'at = "layers.7"', "kind": 'type = "sequence"'},
        *("CE201", 11, 6, "(layers.0 is sequence, layers.1 is relu, layers.2 is global-average"),
    ),
    "data behind other layers": (
        {"keys": 'inputs_law = "data"\n[data]\nsource = "gaussian"\ninputs = 192\noutputs = 2'},
        *("CE202", 11, 14, "depends on a patch of the image"),
    ),
    "exact": (
        {"keys": 'method = "exact"'},
        *("CE203", 11, 10, "is not for layers other than those of an mlp or a block"),
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_faults_are_placed(name):
    given, code, line, column, words = WRONG[name]
    kind = 'type = "ensemble", multiplicity = 2'
    usual = {
        "kind": kind,
        "width": "8",
        "layer": '"relu"',
        "end": '{type = "dense", units = 2}',
        "keys": "",
    }
    with pytest.raises(SpecError) as caught:
        ceflow.compile(ceflow.loads(TEXT.format(**usual | given)))
    (fault,) = caught.value.faults
    assert fault.place
    assert (fault.code, fault.place.line, fault.place.column) == (code, line, column)
    assert words in f"{fault.message}; {fault.help}"


def test_what_has_nothing_to_repeat_is_refused():
    with pytest.raises(SpecError, match="its last layer has no weights"):
        alone(DENSE, "relu").focused(None)
    with pytest.raises(SpecError, match=r"layers\.0 has no width that can be changed"):
        network(ensemble(convolution(4))).focused(None)
    with pytest.raises(SpecError, match="of type 'mlp' has no layers to name"):
        Mlp(widths=[3]).focused("layers.0")

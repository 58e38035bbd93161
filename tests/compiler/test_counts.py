"""Parameters and FLOPs: by hand, the papers' and the published ones, and the arrays of modules."""

import json
import math
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import pytest
from click.testing import CliRunner

from ceflow.cli.plan import command
from ceflow.compiler import compile, nodes
from ceflow.compiler.lowering import lower
from ceflow.spec import Block, Document, Model, Resnext


def root_of(model: Model) -> nodes.Node:
    return compile(Document(model=model)).root


def resnext29(cardinality: int, base_width: int, **keys: Any) -> Resnext:
    return Resnext(blocks=[3, 3, 3], cardinality=cardinality, base_width=base_width, **keys)


CIFAR = {
    # millions of parameters: CE table 1, those with three decimals counted apart from this code
    (1, 128): 13.775,
    (3, 64): 13.346,
    (37, 10): 13.744,
    (28, 12): 12.926,
    (10, 10): 4.224,
    (8, 64): 34.427,
    (101, 10): 36.309,
    (14, 10): 5.634,
    (2, 98): 17.388,
    (1, 226): 36.3,
    (8, 12): 4.19,
    (2, 64): 9.13,
    (6, 25): 7.26,
    (3, 58): 11.6,
}


@pytest.mark.parametrize(("cardinality", "base_width"), CIFAR)
def test_parameters_of_resnext_29_are_the_papers(cardinality: int, base_width: int):
    stated = CIFAR[cardinality, base_width]
    digits = len(str(stated).split(".")[1])
    parameters = root_of(resnext29(cardinality, base_width)).parameters
    assert isinstance(parameters, int)
    assert round(parameters / 1e6, digits) == stated


IMAGENET32 = {(1, 128): 14.8, (3, 64): 14.4, (37, 10): 14.8, (10, 10): 5.2, (3, 40): 8.0}
"""CE table 3: the same with 1000 classes."""


@pytest.mark.parametrize(("cardinality", "base_width"), IMAGENET32)
def test_parameters_with_1000_classes_are_the_papers(cardinality: int, base_width: int):
    parameters = root_of(resnext29(cardinality, base_width, outputs=1000)).parameters
    assert round(parameters / 1e6, 1) == IMAGENET32[cardinality, base_width]


def test_efficiencies_are_the_papers():
    # rho of CE tables 1b and 3: parameters of the baseline over those of the network
    def ratio(*models: Resnext) -> float:
        baseline, found = (root_of(model).parameters for model in models)
        return round(baseline / found, 1)

    assert ratio(resnext29(1, 128), resnext29(10, 10)) == 3.3
    assert ratio(resnext29(1, 226), resnext29(14, 10)) == 6.5
    wide = [resnext29(m, d, outputs=1000) for m, d in ((1, 128), (10, 10))]
    assert ratio(*wide) == 2.8


def test_flops_of_the_baseline_are_those_of_the_theory():
    flops = root_of(resnext29(1, 128)).flops
    assert isinstance(flops, int)
    assert round(flops / 1e9, 2) == 4.18


def test_the_papers_flops_optimum_costs_what_its_baseline_does():
    # CE table 5: 44x8d at the FLOPs of 1x128d, here to 0.3 %
    ratio = root_of(resnext29(44, 8)).flops / root_of(resnext29(1, 128)).flops
    assert ratio == pytest.approx(1, abs=3e-3)


RESNET_50, RESNET_101, RESNET_152 = [3, 4, 6, 3], [3, 4, 23, 3], [3, 8, 36, 3]
TORCHVISION = {
    # blocks, cardinality, base width, parameters, 1e9 multiply-adds: torchvision's own figures
    "resnet50": (RESNET_50, 1, 64, 25557032, 4.089),
    "resnet101": (RESNET_101, 1, 64, 44549160, 7.801),
    "resnet152": (RESNET_152, 1, 64, 60192808, 11.514),
    "resnext50_32x4d": (RESNET_50, 32, 4, 25028904, 4.23),
    "resnext101_32x8d": (RESNET_101, 32, 8, 88791336, 16.414),
    "resnext101_64x4d": (RESNET_101, 64, 4, 83455272, 15.46),
    "wide_resnet50_2": (RESNET_50, 1, 128, 68883240, 11.398),
    "wide_resnet101_2": (RESNET_101, 1, 128, 126886696, 22.753),
}


@pytest.mark.parametrize("name", TORCHVISION)
def test_counts_are_those_that_torchvision_publishes(name: str):
    blocks, cardinality, base_width, parameters, multiply_adds = TORCHVISION[name]
    model = Resnext(stem="imagenet", blocks=blocks, cardinality=cardinality, base_width=base_width)
    root = root_of(model)
    assert root.parameters == parameters
    assert round(root.flops / 2e9, 3) == multiply_adds


SMALL: dict[str, Model] = {
    "block": Block(channels=5, widths=[3, 4]),
    "block of groups": Block(channels=5, widths=[3, 4], cardinality=3, outputs=2),
    "projected block": Block(channels=5, widths=[3, 4], cardinality=2, projection=True),
    "cifar": Resnext(blocks=[2, 1], cardinality=3, base_width=2, inputs=[1, 6, 5], outputs=3),
    "imagenet": Resnext(stem="imagenet", blocks=[1, 2], base_width=2, inputs=[2, 40, 40]),
}


@pytest.mark.parametrize("name", SMALL)
def test_parameters_are_the_arrays_of_the_module(name: str):
    root = root_of(SMALL[name])
    module = lower(root, jax.random.key(0))
    trained = getattr(module, "module", module)  # without the running statistics
    leaves = jax.tree.leaves(eqx.filter(trained, eqx.is_inexact_array))
    assert sum(leaf.size for leaf in leaves) == root.parameters
    output: Any = jax.eval_shape(module, jax.ShapeDtypeStruct(shape_of(root.inputs), "float32"))  # pyright: ignore
    assert output.shape == (root.outputs,)


def shape_of(shape: Any) -> tuple[int, ...]:
    return tuple(map(int, shape))


def test_running_statistics_are_two_numbers_a_channel_of_batch_normalisation():
    root = root_of(SMALL["cifar"])
    module: Any = lower(root, jax.random.key(0))
    norms = [node for _, node in nodes.leaves(root) if isinstance(node, nodes.BatchNorm)]
    channels = sum(nodes.channels(node.inputs) for node in norms)
    leaves = jax.tree.leaves(module.state)
    assert sum(leaf.size for leaf in leaves) == 2 * channels


@pytest.mark.parametrize("outputs", [None, 1])
@pytest.mark.parametrize("projection", [False, True])
def test_a_block_costs_its_weights_once_a_position(projection: bool, outputs: int | None):
    # a path of n = 128 has 512 n + 9 n^2
    root = root_of(Block(widths=[128, 128], projection=projection, outputs=outputs))
    out = outputs or 256
    expected = (256 + out) * 128 + 9 * 128**2 + 256 * out * projection
    assert (root.parameters, root.flops) == (expected, 2 * expected)
    assert isinstance(root.flops, int)


def test_groups_of_a_block_cost_the_same_each():
    one, many = (root_of(Block(widths=[10, 12], cardinality=m)) for m in (1, 37))
    assert (many.parameters, many.flops) == (37 * one.parameters, 37 * one.flops)


def test_a_grouped_dense_layer_by_hand():
    layer = nodes.Dense(12, 8, 1.0, 0.1, groups=4)
    assert (layer.fan_in, layer.parameters, layer.flops) == (3, 3 * 8 + 8, 2 * 3 * 8)
    assert nodes.Dense(math.inf, math.inf, 1.0, 0.0, groups=4).parameters == math.inf


def test_leaves_are_counted_as_often_as_they_are_there():
    root = nodes.Ensemble(
        3, nodes.Chain((nodes.Dense(2, 4, 1.0, 0.0), nodes.Dense(4, 1, 1.0, 0.0)))
    )
    assert sum(times * node.parameters for times, node in nodes.leaves(root)) == root.parameters
    root = root_of(SMALL["cifar"])
    assert sum(times * node.parameters for times, node in nodes.leaves(root)) == root.parameters


def test_the_command_line_gives_whole_numbers(tmp_path: Path):
    path = tmp_path / "spec.toml"
    path.write_text("model = {type = 'resnext', blocks = [3, 3, 3], base_width = 128}")
    found = json.loads(CliRunner().invoke(command, [str(path), "--json"]).stdout)["model"]
    assert found == {"parameters": 13775178, "flops": 4181086208}
    assert all(isinstance(count, int) for count in found.values())

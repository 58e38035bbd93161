"""Every kind of model as a network of layers: the same tree, and so the same counts and modules."""

from typing import Any

import jax
import numpy as np
import pytest

from ceflow.compiler import compile
from ceflow.spec import Block, Bottleneck, Document, Ensemble, Mlp, Model, Network, Resnext

NORM = ("batch-norm", "relu")


def dense(units: int, variance: float | None = None) -> dict[str, Any]:
    return {"type": "dense", "units": units, "weight_variance": variance}


def convolution(channels: int, kernel: int = 1, **keys: Any) -> dict[str, Any]:
    return {"type": "convolution", "channels": channels, "kernel": kernel, **keys}


def of_mlp(widths: list[int], outputs: int, activation: str, last: float = 1.0) -> list[Any]:
    hidden = [layer for width in widths for layer in (dense(width), activation)]
    return [*hidden, dense(outputs, last)]


def bottleneck_block(width: int, channels: int, groups: int, stride: int, new: bool) -> list[Any]:
    body = [convolution(width), *NORM, convolution(width, 3, groups=groups, stride=stride), *NORM]
    body += [convolution(channels), "batch-norm"]
    shortcut = [convolution(channels, stride=stride), "batch-norm"]
    return [{"type": "residual", "body": body, "shortcut": shortcut if new else None}, "relu"]


HEAD = {"type": "dense", "units": 3, "weight_variance": 1 / 3, "bias_variance": 1 / 3}
OLD: dict[str, tuple[Model, Any]] = {
    "mlp": (
        Mlp(widths=[5, 4], inputs=3, outputs=2, activation="erf", bias_variance=0.2),
        {"layers": of_mlp([5, 4], 2, "erf"), "inputs": 3, "bias_variance": 0.2},
    ),
    "ensemble": (
        Ensemble(multiplicity=4, member=Mlp(widths=[5], inputs=3, outputs=2, last_variance=3.0)),
        {
            "layers": [
                {"type": "ensemble", "multiplicity": 4, "layers": of_mlp([5], 2, "relu", 3.0)}
            ],
            "inputs": 3,
        },
    ),
    "bottleneck": (
        Bottleneck(
            size=2,
            encoder=Mlp(widths=[5], inputs=3, activation="tanh"),
            decoder=Mlp(widths=[4, 4], outputs=2),
        ),
        {"layers": [*of_mlp([5], 2, "tanh"), *of_mlp([4, 4], 2, "relu")], "inputs": 3},
    ),
    "resnext": (
        Resnext(blocks=[2, 1], cardinality=3, base_width=2, inputs=(1, 6, 5), outputs=3),
        {
            "layers": [
                *(convolution(64, 3), *NORM),
                *bottleneck_block(6, 256, 3, 1, True),
                *bottleneck_block(6, 256, 3, 1, False),
                *bottleneck_block(12, 512, 3, 2, True),
                *("global-average", HEAD),
            ],
            "inputs": (1, 6, 5),
            "parameterisation": "standard",
        },
    ),
    "resnext of the imagenet stem": (
        Resnext(stem="imagenet", blocks=[1], base_width=2, inputs=(2, 40, 40), outputs=3),
        {
            "layers": [
                *(convolution(64, 7, stride=2), *NORM),
                {"type": "max-pool", "window": 3, "stride": 2, "padding": 1},
                *bottleneck_block(2, 256, 1, 1, True),
                *("global-average", HEAD),
            ],
            "inputs": (2, 40, 40),
            "parameterisation": "standard",
        },
    ),
}


@pytest.mark.parametrize("name", OLD)
def test_a_model_is_its_tree_of_layers(name: str):
    model, keys = OLD[name]
    old, new = (compile(Document(model=each)) for each in (model, Network(**keys)))
    assert old.root == new.root
    assert (old.inputs, old.outputs) == (new.inputs, new.outputs)
    key = jax.random.key(3)
    one, two = (jax.tree.flatten(each.module(key)) for each in (old, new))
    assert one[1] == two[1]
    for a, b in zip(one[0], two[0], strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_block_is_layers_on_its_patch_but_for_the_layer_that_neighbours_share():
    """FLOPs of a block are those of one position, of which nine share the first layer."""
    model = Block(channels=5, widths=[3, 4], cardinality=2)
    layers: Any = [
        *(convolution(6), "relu", convolution(8, 3, groups=2, padding="valid"), "relu"),
        *(convolution(5, weight_variance=model.last_variance), "flatten"),
    ]
    spec = Network(layers=layers, inputs=(5, 3, 3), weight_variance=model.weight_variance)
    old, new = (compile(Document(model=each)) for each in (model, spec))
    assert old.root.parameters == new.root.parameters
    assert new.root.flops - old.root.flops == 8 * 2 * 5 * 6
    key, x = jax.random.key(3), jax.random.normal(jax.random.key(4), (5, 3, 3))
    one, two = (each.module(key) for each in (old, new))
    np.testing.assert_array_equal(one(x), two(x))  # pyright: ignore[reportCallIssue]

"""Counts and shapes of every layer of the language: by hand, and those of the modules."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.spec import Network, SpecError
from ceflow.spec.models.layers import through

B = {"bias_variance": 0.1}
IMAGE = (6, 8, 7)
BODY = {"type": "convolution", "channels": 6, **B}

HAND: dict[str, tuple[Any, Any, int, int]] = {
    # layer, inputs, parameters, FLOPs: two per multiply-add of the weights, at every output
    "dense": ({"type": "dense", "units": 5, **B}, 7, 5 * 7 + 5, 2 * 5 * 7),
    "dense without biases": ({"type": "dense", "units": 5}, 7, 5 * 7, 2 * 5 * 7),
    "convolution": (BODY, IMAGE, 6 * 6 * 9 + 6, 2 * 6 * 6 * 9 * 8 * 7),
    "convolution with strides": (
        {"type": "convolution", "channels": 4, "kernel": 2, "stride": 3, "padding": "valid"},
        IMAGE,
        4 * 6 * 4,
        2 * 4 * 6 * 4 * 3 * 2,
    ),
    "grouped convolution": (
        {"type": "convolution", "channels": 4, "groups": 2, **B},
        IMAGE,
        4 * 3 * 9 + 4,
        2 * 4 * 3 * 9 * 8 * 7,
    ),
    "depthwise convolution": (
        {"type": "convolution", "groups": "depthwise", "stride": 2, **B},
        IMAGE,
        6 * 9 + 6,
        2 * 6 * 9 * 4 * 4,
    ),
    "depthwise convolution of more channels": (
        {"type": "convolution", "channels": 12, "groups": "depthwise", "padding": 2},
        IMAGE,
        12 * 9,
        2 * 12 * 9 * 10 * 9,
    ),
    "relu": ("relu", IMAGE, 0, 0),
    "batch norm": ("batch-norm", IMAGE, 2 * 6, 0),
    "batch norm of a vector": ("batch-norm", 5, 2 * 5, 0),
    "layer norm": ("layer-norm", IMAGE, 2 * 6, 0),
    "layer norm without weights": ({"type": "layer-norm", "affine": False}, 5, 0, 0),
    "pools": ({"type": "average-pool", "window": 2}, IMAGE, 0, 0),
    "attention": (
        {"type": "attention", "heads": 2, "head_width": 4, **B},
        IMAGE,
        # queries, keys and values of 8 channels, and the layer after them
        3 * (6 * 8 + 8) + 8 * 6 + 6,
        # weights at 56 positions; scores and means of 8 channels between 56 x 56 of them
        2 * 56 * (3 * 6 * 8 + 8 * 6) + 2 * 2 * 8 * 56 * 56,
    ),
    "scale": ("scale", IMAGE, 6, 0),
    "scale of a vector": ("scale", 5, 5, 0),
    "position embedding": ("position-embedding", IMAGE, 6 * 8 * 7, 0),
    "token mixing": (
        {"type": "token-mixing", "layers": [
            {"type": "convolution", "channels": 9, "kernel": 1, **B}, "relu",
            {"type": "convolution", "channels": 56, "kernel": 1}]},
        IMAGE,
        # over 56 positions, for each of 6 channels
        56 * 9 + 9 + 9 * 56,
        2 * 2 * 56 * 9 * 6,
    ),
    "sequence": (
        {"type": "sequence", "repeat": 3, "layers": [BODY, "layer-norm"]},
        IMAGE,
        3 * (6 * 6 * 9 + 6 + 12),
        3 * 2 * 6 * 6 * 9 * 56,
    ),
    "residual": (
        {"type": "residual", "body": [BODY, "relu"], "shortcut": [BODY]},
        IMAGE,
        2 * (6 * 6 * 9 + 6),
        2 * 2 * 6 * 6 * 9 * 56,
    ),
    "ensemble": (
        {"type": "ensemble", "multiplicity": 5, "layers": [BODY, "layer-norm"]},
        IMAGE,
        5 * (6 * 6 * 9 + 6 + 12),
        5 * 2 * 6 * 6 * 9 * 56,
    ),
    "ensemble of scales": (
        {
            "type": "ensemble",
            "multiplicity": 3,
            "layers": [{"type": "ensemble", "multiplicity": 2, "layers": ["scale", BODY]}],
        },
        IMAGE,
        6 * (6 + 6 * 6 * 9 + 6),
        6 * 2 * 6 * 6 * 9 * 56,
    ),
    "ensemble of ensembles": (
        {
            "type": "ensemble",
            "multiplicity": 2,
            "layers": [{"type": "ensemble", "multiplicity": 3, "layers": [BODY]}, BODY],
            "repeat": 2,
        },
        IMAGE,
        2 * 2 * (3 + 1) * (6 * 6 * 9 + 6),
        2 * 2 * (3 + 1) * 2 * 6 * 6 * 9 * 56,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", HAND)
def test_counts_are_those_by_hand_and_those_of_the_arrays(name: str):
    layer, inputs, parameters, flops = HAND[name]
    root = expand(Network(layers=[layer], inputs=inputs))
    assert (root.parameters, root.flops) == (parameters, flops)
    assert isinstance(root.parameters, int)
    module = eqx.filter_eval_shape(lower, root, jax.random.key(0))
    found = jax.tree.leaves(eqx.filter(module, lambda leaf: hasattr(leaf, "shape")))
    trained = 2 * 6 if name == "batch norm" else 2 * 5 if name == "batch norm of a vector" else None
    assert sum(math.prod(a.shape) for a in found if a.dtype == jnp.float32) == (
        parameters if trained is None else 2 * trained  # the running statistics besides
    )


SIZES = st.sampled_from([1, 2, 3, 4])
NAMES = ["relu", "erf", "layer-norm", "batch-norm", "dropout", "scale", "position-embedding"]
SHORT = st.sampled_from([*NAMES, "flatten"])


@st.composite
def layers(draw: Any, depth: int = 2) -> list[Any]:
    """Layers of all kinds, most of which fit images of some channels."""
    found = []
    for _ in range(draw(st.integers(1, 3))):
        kinds = ["short", "dense", "convolution", "average-pool", "max-pool", "attention"]
        holders = ["residual", "ensemble", "sequence", "token-mixing"] if depth else []
        kind = draw(st.sampled_from([*kinds, "convolution", "global-average", *holders]))
        keys: dict[str, Any] = {"type": kind}
        if kind == "short":
            found.append(draw(SHORT))
            continue
        if kind == "dense":
            keys["units"] = draw(SIZES)
        if kind == "convolution":
            keys["groups"] = draw(st.sampled_from([1, 1, 2, "depthwise"]))
            if keys["groups"] != "depthwise" or draw(st.booleans()):
                keys["channels"] = draw(SIZES)
            keys["kernel"], keys["stride"] = draw(SIZES), draw(st.integers(1, 2))
            keys["padding"] = draw(st.sampled_from(["same", "same", "valid", "circular", 1]))
        if kind in ("average-pool", "max-pool"):
            keys["window"], keys["stride"] = draw(SIZES), draw(st.none() | SIZES)
        if kind == "max-pool":
            keys["padding"] = draw(st.sampled_from(["same", "valid", 1]))
        if kind == "attention":
            keys["heads"], keys["head_width"] = draw(st.integers(1, 2)), draw(st.none() | SIZES)
        if kind == "residual":
            keys["body"] = draw(layers(depth - 1))
            keys["shortcut"] = draw(st.none() | layers(depth - 1))
        if kind == "ensemble":
            keys["multiplicity"], keys["layers"] = draw(SIZES), draw(layers(depth - 1))
        if kind == "sequence":
            keys["layers"] = draw(layers(depth - 1))
        if kind == "token-mixing":
            keys["layers"] = draw(st.lists(st.sampled_from(NAMES), min_size=1, max_size=2))
        keys["repeat"] = draw(st.sampled_from([1, 1, 2]))
        found.append(keys)
    return found


SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 6)) | st.integers(1, 5)


def check_shapes(found: list[Any], inputs: Any) -> None:
    """The shape of the language is that of the tree and of the module."""
    layers = Network(layers=found).layers
    try:
        shape = through(layers, inputs)
    except SpecError as error:
        fault = error.faults[0]
        assert isinstance(fault.path[0], int)  # at a layer
        return
    # `Network` itself refuses what ends in an image.
    network = Network(layers=found).replaced({"inputs": inputs})
    root = expand(network)
    assert root.outputs == shape
    module = eqx.filter_eval_shape(lower, root, jax.random.key(0))
    sizes = inputs if isinstance(inputs, tuple) else (inputs,)
    outputs = eqx.filter_eval_shape(lambda m, x: m(x), module, jnp.ones(sizes))
    assert outputs.shape == (shape if isinstance(shape, tuple) else (shape,))
    assert math.prod(outputs.shape) > 0


@given(layers(), SHAPES)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_shapes_of_the_language_are_those_of_modules(found: list[Any], inputs: Any):
    check_shapes(found, inputs)


@pytest.mark.slow
@given(layers(3), SHAPES)
@settings(max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_so_are_those_of_many_more(found: list[Any], inputs: Any):
    check_shapes(found, inputs)

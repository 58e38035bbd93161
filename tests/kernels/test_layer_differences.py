"""The empirical NTK of every kind of layer, against finite differences of the outputs."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.kernels import empirical_ntk
from ceflow.spec import Network
from ceflow.spec.models.layers import LAYER_NAMES

STEP = 1e-5
"""Step h of the central differences, in float64: their errors are of order h^2 and eps/h, 1e-10."""

MIX: Any = {"type": "convolution", "channels": 2, "kernel": 1}
LAYERS: dict[str, Any] = {
    "dense": ["flatten", {"type": "dense", "units": 3, "bias_variance": 0.5}],
    "convolution": {"type": "convolution", "channels": 2, "stride": 2, "bias_variance": 0.5},
    "a depthwise convolution": {"type": "convolution", "groups": "depthwise", "kernel": 2},
    "activation": {"type": "activation", "name": "gelu"},
    "batch-norm": "batch-norm",
    "layer-norm": "layer-norm",
    "a layer-norm of channels": {"type": "layer-norm", "axes": "channels"},
    "scale": {"type": "scale", "initial": 0.7},
    "position-embedding": {"type": "position-embedding", "variance": 0.5},
    "average-pool": {"type": "average-pool", "window": 2},
    "max-pool": {"type": "max-pool", "window": 2},
    "global-average": "global-average",
    "flatten": "flatten",
    "sequence": {"type": "sequence", "layers": [MIX, "erf"], "repeat": 2},
    "residual": {"type": "residual", "body": ["tanh", MIX], "shortcut": [MIX]},
    "ensemble": {"type": "ensemble", "multiplicity": 2, "layers": [MIX, "sin", MIX]},
    "token-mixing": {"type": "token-mixing", "layers": ["sin", {**MIX, "channels": 6}]},
    "dropout": {"type": "dropout", "rate": 0.5},
    "attention": {"type": "attention", "heads": 1},
}
"""A layer of every kind, between a convolution and a dense layer."""


def test_every_kind_of_layer_is_differenced():
    assert {*LAYERS} >= {*LAYER_NAMES}


@pytest.mark.parametrize("name", LAYERS)
def test_the_empirical_ntk_is_that_of_finite_differences(name: str, x64: None):
    layers = LAYERS[name] if isinstance(LAYERS[name], list) else [LAYERS[name]]
    end = [*([] if name in ("dense", "global-average", "flatten") else ["flatten"]), "dense"]
    every: Any = [MIX, *layers, *end]
    model: Any = Network(inputs=(1, 3, 2), layers=every).sized(outputs=2)
    module: Any = lower(expand(model), jax.random.key(1))
    x = jax.random.normal(jax.random.key(2), (2, 1, 3, 2))
    trained = getattr(module, "module", module)  # a frozen module holds statistics besides
    weights, static = eqx.partition(trained, eqx.is_inexact_array)
    flat, restore = ravel_pytree(weights)

    def outputs(vector: jax.Array) -> jax.Array:
        changed = eqx.combine(restore(vector), static)
        if trained is not module:
            changed = eqx.tree_at(lambda m: m.module, module, changed)
        return jax.vmap(changed)(x)

    steps = STEP * jnp.eye(flat.size)
    up, down = (jax.jit(jax.vmap(outputs))(flat + sign * steps) for sign in (1, -1))
    rows = (up - down) / (2 * STEP)  # (parameters, examples, outputs)
    expected = jnp.einsum("pia,pjb->ijab", rows, rows)
    np.testing.assert_allclose(empirical_ntk(module, x), expected, atol=1e-7 * np.max(expected))

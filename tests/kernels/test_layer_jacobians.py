"""The empirical NTK of networks of every kind of layer, against Jacobians formed whole."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler.lowering import lower
from ceflow.compiler.models import expand
from ceflow.kernels import empirical_ntk
from ceflow.spec import Network

MIXED: list[Any] = [
    {"type": "convolution", "channels": 6, "kernel": 2, "stride": 2},
    *("gelu", "batch-norm", {"type": "attention", "heads": 2}, {"type": "dropout", "rate": 0.5}),
    {
        "type": "residual",
        "body": [
            {"type": "layer-norm", "axes": "channels"},
            {"type": "convolution", "groups": "depthwise", "padding": "circular"},
            {
                "type": "ensemble",
                "multiplicity": 3,
                "layers": [
                    {"type": "convolution", "channels": 4, "groups": 2},
                    *("relu", {"type": "convolution", "channels": 6, "kernel": 1}),
                ],
            },
        ],
        "shortcut": [{"type": "convolution", "channels": 6, "repeat": 2}],
    },
    *({"type": "max-pool", "window": 2, "stride": 1}, "layer-norm", "erf"),
    *({"type": "average-pool", "window": 2, "stride": 1}, "flatten"),
    *({"type": "ensemble", "multiplicity": 2, "layers": [{"type": "dense", "units": 5}, "relu"]},),
    *("layer-norm", {"type": "dense", "units": 3}),
]
ENDS: list[Any] = [
    *({"type": "convolution", "channels": 4, "padding": 2, "stride": 3}, "tanh"),
    *({"type": "convolution", "channels": 3, "padding": "valid", "kernel": 2}, "global-average"),
]


@pytest.mark.parametrize(
    ("layers", "parameterisation"),
    [
        pytest.param(MIXED, "ntk", marks=pytest.mark.slow, id="all kinds"),
        pytest.param(MIXED, "standard", marks=pytest.mark.slow, id="all kinds, standard"),
        pytest.param(ENDS, "ntk", id="a convolution at the end"),
        pytest.param(ENDS, "standard", marks=pytest.mark.slow, id="and standard"),
    ],
)
def test_the_empirical_ntk_is_that_of_jacobians(layers: Any, parameterisation: Any, x64: None):
    model = Network(
        layers=layers, inputs=(2, 7, 6), bias_variance=0.2, parameterisation=parameterisation
    )
    module: Any = lower(expand(model), jax.random.key(2))
    x = jax.random.normal(jax.random.key(3), (3, 2, 7, 6))
    weights, static = eqx.partition(module, eqx.is_inexact_array)
    if "batch-norm" in layers:  # statistics are no parameters
        weights, static = eqx.partition(module, _trained(module))
    found = jax.vmap(jax.jacrev(lambda w, e: eqx.combine(w, static)(e)), (None, 0))(weights, x)
    rows = [leaf.reshape(3, 3, -1) for leaf in jax.tree.leaves(found)]
    expected = sum(jnp.einsum("iap,jbp->ijab", row, row) for row in rows)
    kernel = np.asarray(empirical_ntk(module, x))
    # sums of some thousand products in another order
    np.testing.assert_allclose(kernel, expected, rtol=1e-10, atol=1e-10 * np.max(expected))
    trace = np.einsum("ijaa->ij", expected)
    np.testing.assert_allclose(empirical_ntk(module, x, trace=True), trace, rtol=1e-10)


def _trained(module: Any) -> Any:
    """Tell of each leaf of a frozen module whether it is a parameter."""
    none = jax.tree.map(lambda leaf: False, module)
    parameters = jax.tree.map(eqx.is_inexact_array, module.module)
    return eqx.tree_at(lambda m: m.module, none, parameters)

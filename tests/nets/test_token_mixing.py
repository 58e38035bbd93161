"""Token mixing, scales and position embeddings by hand, and repeated sequences."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import ceflow
from ceflow import nets
from ceflow.compiler import nodes
from ceflow.compiler.lowering import lower, lower_with_state
from ceflow.spec import Document, Network

X = jax.random.normal(jax.random.key(0), (5, 2, 3))


def root_of(*layers, outputs=("flatten", {"type": "dense", "units": 2}), **keys):
    model = Network(inputs=(5, 2, 3), layers=[*layers, *outputs], **keys)
    return ceflow.compile(Document(model=model)).root


def mixer(*layers):
    return {"type": "token-mixing", "layers": layers}


def convolution(channels: int, **keys):
    return {"type": "convolution", "channels": channels, "kernel": 1, **keys}


def test_token_mixing_is_a_product_over_positions():
    root = nodes.TokenMixing((5, 2, 3), nodes.Convolution((6, 5, 1), 6, 1, 1, 1, 2.0, 0.3))
    module = lower(root, jax.random.key(1))
    inner = module.mixer  # pyright: ignore
    mixed = np.asarray(X).reshape(5, 6) @ inner.weight[:, :, 0, 0].T * (2 / 6) ** 0.5
    expected = (mixed + 0.3**0.5 * np.asarray(inner.bias)).reshape(5, 2, 3)
    np.testing.assert_allclose(module(X), expected, rtol=1e-4, atol=1e-5)  # pyright: ignore
    assert (root.parameters, root.flops) == (6 * 6 + 6, 2 * 6 * 6 * 5)


def test_batch_norm_in_token_mixing_has_state():
    root = root_of(mixer("batch-norm"))
    module, state = lower_with_state(root, jax.random.key(0))
    batched: Any = jax.vmap(module, axis_name="batch", in_axes=(0, None), out_axes=(0, None))  # pyright: ignore
    y, after = batched(jnp.stack([X, -2 * X]), state)
    assert y.shape == (2, 2)
    (statistics,) = (
        leaf.statistics
        for leaf in jax.tree.leaves(module, is_leaf=lambda part: isinstance(part, nets.BatchNorm))
        if isinstance(leaf, nets.BatchNorm)
    )
    assert after.get(statistics)[0].shape == (6,)
    assert (after.get(statistics)[0] != 0).all()


@pytest.mark.parametrize("standard", [False, True])
def test_embeddings_start_with_their_variance(standard: bool):
    embedding = nodes.PositionEmbedding((400, 4, 4), 0.25, standard)
    module = lower(nodes.Chain((embedding, nodes.Scale((400, 4, 4), 3.0))), jax.random.key(0))
    values = module(jnp.zeros((400, 4, 4)))  # pyright: ignore
    # 6400 normal numbers: the variance is off by 1.8 %
    assert float(jnp.var(values)) == pytest.approx(9 * 0.25, rel=0.07)
    weight = module.layers[0].weight  # pyright: ignore
    assert float(jnp.var(weight)) == pytest.approx(0.25 if standard else 1.0, rel=0.07)


def test_a_scale_multiplies_channels():
    module = eqx.tree_at(lambda scale: scale.weight, nets.Scale(5), jnp.arange(5.0))
    np.testing.assert_array_equal(module(X), jnp.arange(5.0)[:, None, None] * X)
    np.testing.assert_array_equal(module(X[:, 0, 0]), jnp.arange(5.0) * X[:, 0, 0])


def test_a_repeated_sequence_is_its_layers_in_turn():
    sequence = {"type": "sequence", "layers": [convolution(5), "relu"], "repeat": 2}
    assert root_of(sequence) == root_of(convolution(5), "relu", convolution(5), "relu")


@pytest.mark.parametrize(
    ("layer", "path", "message"),
    [
        (
            mixer(convolution(4)),
            ("layers",),
            "an image of 6 x 5 x 1, and give an image of 4 x 5 x 1",
        ),
        (
            mixer(convolution(6, kernel=2, padding="valid")),
            ("layers", 0, "kernel"),
            "is larger than",
        ),
        (mixer("flatten"), ("layers",), "give a vector of 30"),
        (mixer({"type": "dense", "units": 6}), ("layers", 0), "takes vectors"),
    ],
)
def test_layers_that_do_not_fit_in_token_mixing_are_refused(layer, path, message):
    (fault,) = Network(inputs=(5, 2, 3), layers=[layer]).faults()
    assert fault.path == ("layers", 0, *path)
    assert message in fault.message

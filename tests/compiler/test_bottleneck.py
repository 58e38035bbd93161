"""Networks with a bottleneck: counts, sizes from the data, and the function they compute."""

import math
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ceflow.compiler import compile
from ceflow.compiler.lowering import lower
from ceflow.nets import ACTIVATIONS, Dense
from ceflow.spec import Bottleneck, DeepGp, Document, Mlp, SpecError

MODEL = Bottleneck(
    size=3,
    encoder=Mlp(widths=[6, 5], activation="erf", weight_variance=1.3, last_variance=0.7),
    decoder=Mlp(widths=[7], activation="tanh", weight_variance=0.9, bias_variance=0.2),
)
DATA = DeepGp(inputs=4, outputs=2, train=5, test=0)
PLAN = compile(Document(data=DATA, model=MODEL))
X = np.random.default_rng(0).normal(size=(8, 4))


def test_sizes_come_from_the_data():
    assert (PLAN.inputs, PLAN.outputs) == (4, 2)
    encoder, decoder = PLAN.model.parts.values()
    assert (encoder.inputs, encoder.outputs) == (4, 3)
    assert (decoder.inputs, decoder.outputs) == (3, 2)


@pytest.mark.parametrize(("half", "key"), [("encoder", "inputs"), ("decoder", "outputs")])
def test_without_data_they_are_asked_for_where_they_stand(half, key):
    other = {"inputs": "outputs", "outputs": "inputs"}[key]
    with pytest.raises(SpecError, match=key) as caught:
        compile(Document(model=MODEL.sized(**{other: 2})))
    (fault,) = caught.value.faults
    assert fault.help is not None
    assert f"[model.{half}]" in fault.help


def test_counts_are_those_of_the_layers():
    weights = 4 * 6 + 6 * 5 + 5 * 3 + 3 * 7 + 7 * 2
    assert PLAN.root.parameters == weights + 7 + 2  # biases of the decoder
    assert PLAN.root.flops == 2 * weights
    assert MODEL.multiplicity == 1
    assert MODEL.fan_in_sum == pytest.approx(1 / 6 + 1 / 5 + 1 / 3 + 1 / 7)
    infinite = MODEL.model_copy(update={"size": math.inf})
    assert compile(Document(model=MODEL.sized(inputs=4, outputs=2))).root == PLAN.root
    assert infinite.fan_in_sum == pytest.approx(1 / 6 + 1 / 5 + 1 / 7)


def by_hand(layers: list[Dense], x: jax.Array) -> jax.Array:
    """`f(g(x))` with the weights of five layers."""
    one, two, three, four, five = (layer.weight for layer in layers)
    beta, gamma = (0.2**0.5 * layer.bias for layer in layers[3:])  # pyright: ignore
    erf, tanh = ACTIVATIONS["erf"], ACTIVATIONS["tanh"]
    h = erf(math.sqrt(1.3 / 4) * one @ x)
    h = erf(math.sqrt(1.3 / 6) * two @ h)
    g = math.sqrt(0.7 / 5) * three @ h
    h = tanh(math.sqrt(0.9 / 3) * four @ g + beta)
    return math.sqrt(1.0 / 7) * five @ h + gamma


@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_the_module_is_the_composition(precision):
    with jax.enable_x64(precision == "float64"):
        module = PLAN.module(jax.random.key(0))
        leaves = jax.tree.leaves(module, is_leaf=lambda leaf: isinstance(leaf, Dense))
        layers = [leaf for leaf in leaves if isinstance(leaf, Dense)]
        x = jnp.asarray(X, precision)
        found = jax.vmap(module)(x)  # pyright: ignore[reportArgumentType]
        assert (found.shape, found.dtype) == ((8, 2), precision)
        expected = jnp.stack([by_hand(layers, each) for each in x])
        # roundings of five layers
        rounding = 100 * float(jnp.finfo(precision).eps)
        np.testing.assert_allclose(found, expected, rtol=rounding, atol=rounding)
        one = module(x[0])  # pyright: ignore[reportCallIssue]
        np.testing.assert_allclose(one, found[0], rtol=rounding, atol=rounding)


def test_the_values_in_the_bottleneck_have_their_law():
    """Given h they are normal of variance 0.7 |h|^2/5: over 2,000 draws of the third layer mean and
    variance within 5 standard errors."""
    layer: Any = PLAN.root.layers[4]  # pyright: ignore[reportAttributeAccessIssue]
    assert (layer.inputs, layer.outputs, layer.weight_variance) == (5, 3, 0.7)
    h = jnp.arange(1.0, 6.0)

    @eqx.filter_jit
    @jax.vmap
    def drawn(key):
        return lower(layer, key)(h)  # pyright: ignore[reportCallIssue]

    values = drawn(jax.random.split(jax.random.key(0), 2000)) / jnp.sqrt(0.7 * (h @ h) / 5)
    assert abs(values.mean()) < 5 / 6000**0.5
    assert abs(values.var() - 1) < 5 * (2 / 6000) ** 0.5


def test_an_infinite_one_has_no_module():
    infinite = Bottleneck(size=3, encoder=Mlp(widths=[math.inf]), decoder=Mlp(widths=[math.inf]))
    plan = compile(Document(data=DATA, model=infinite))
    assert plan.root.parameters == math.inf
    with pytest.raises(SpecError, match="CE203"):
        plan.module(jax.random.key(0))
